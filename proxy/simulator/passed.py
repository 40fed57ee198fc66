"""
Audio, pictures, moderation, rerank, files and batches: which path is which, and the plan for it.

They are OpenAI's at every door. Faults are chosen by the model's name as elsewhere; those that
spoil what only chats have are refused.
"""

import re
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Struct

from proxy.domain.errors import InvalidRequest, MethodNotAllowed, ModelNotFound, RequestError
from proxy.simulator.draft import Draft, build_error, build_reply
from proxy.simulator.fault_kind import Face, Fault
from proxy.simulator.faults import find_fault
from proxy.simulator.file_store import FileStore
from proxy.simulator.form import Form
from proxy.simulator.knobs import (
    DEFAULTS,
    FAULT_PREFIX,
    MODELS,
    NO_KNOBS,
    Knobs,
    merge_knobs,
    parse_model_name,
)
from proxy.simulator.openai_format import encode
from proxy.simulator.passed_answers import OPERATIONS, Content, answer_passed
from proxy.simulator.plan import Data, End, Head, Plan, Step, Wait

_ROUTE = re.compile(
    r"(?:v1/|v2/|openai/v1/|openai/deployments/(?P<model>[^/]+)/|openai/)?"
    r"(?P<route>(?:audio|images)/[a-z]+|moderations|rerank|(?:files|batches)(?:/.*)?)"
)
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Asked(Struct):
    """One request to such a path: JSON or a form."""

    method: str
    path: str
    """With or without `/v1` and percent signs."""
    query: str = ""
    body: bytes = b""
    form: Form | None = None


def is_passed(path: str) -> bool:
    """Return whether a path is one of these."""
    found = _ROUTE.fullmatch(path.strip("/"))
    if found is None:
        return False
    return found["route"] in OPERATIONS or found["route"].startswith(("files", "batches"))


def build_passed_plan(
    asked: Asked, store: FileStore, *, created_at: int, face: Face, options: Knobs = NO_KNOBS
) -> Plan:
    """Return the plan for a request that `is_passed`; a bad one gets the plan of its error."""
    found = _ROUTE.fullmatch(asked.path.strip("/"))
    route = "" if found is None else found["route"]
    try:
        if route not in OPERATIONS:
            return Plan(_keep_account(asked, route, store, created_at))
        _check_method(asked, "POST")
        fields = _read_fields(asked)
        if found is not None and found["model"] is not None:
            fields["model"] = unquote(found["model"])
        return _answer(route, fields, asked.form, created_at, face, options)
    except RequestError as error:
        return Plan(build_error(error))


def _answer(
    operation: str,
    fields: dict[str, Any],
    form: Form | None,
    created_at: int,
    face: Face,
    options: Knobs,
) -> Plan:
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidRequest("'model' must be a string.", param="model")
    base, named = parse_model_name(model)
    knobs = merge_knobs(DEFAULTS, MODELS.get(base, NO_KNOBS), options, named)
    fault = find_fault(base) if base.startswith(FAULT_PREFIX) else None
    if fault is None and base not in MODELS:
        raise ModelNotFound(base)
    if fault is not None and not _may_play(fault, face):
        raise InvalidRequest(f"The fault '{fault.name}' exists only in chats.", param="model")
    try:
        content = answer_passed(operation, fields, form, created_at)
    except InvalidRequest:
        if fault is None:
            raise
        # One strikes before the request is looked at, or is whole.
        content = Content("application/json", [])
    streams = content.content_type.startswith("text/event-stream")
    if fault is None:
        return Plan(_build_steps(content, knobs), model, streams)
    draft = Draft(model, created_at, knobs, False, content.usage, body=content.json)
    return Plan(fault.play(draft), model, streams, fault.name)


def _may_play(fault: Fault, face: Face) -> bool:
    is_general = fault.reach == "any" and fault.shape != "stream" and fault.adapt is None
    return is_general and face in fault.faces and not fault.formats


def _build_steps(content: Content, knobs: Knobs) -> tuple[Step, ...]:
    head = Head(200, (("content-type", content.content_type),), "chunked")
    wait_s = (knobs.first_token_ms or 0) / 1000
    start: tuple[Step, ...] = (Wait(wait_s), head) if wait_s else (head,)
    return (*start, *(Data(piece, 1) for piece in content.pieces), End())


def _read_fields(asked: Asked) -> dict[str, Any]:
    if asked.form is not None:
        return {name: values[-1] for name, values in asked.form.fields.items()}
    try:
        return _decode(asked.body)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest("The body must be a JSON object.") from None


def _keep_account(asked: Asked, route: str, store: FileStore, created_at: int) -> tuple[Step, ...]:
    kind, _, rest = route.partition("/")
    name, _, action = rest.partition("/")
    if kind == "files" and action == "content":
        _check_method(asked, "GET")
        file = store.find_file(name)
        disposition = f'attachment; filename="{file.shown["filename"]}"'
        headers = (
            ("content-type", "application/octet-stream"),
            ("content-disposition", disposition.encode("ascii", "replace").decode()),
        )
        return build_reply(200, file.content, headers)
    return build_reply(200, encode(_answer_account(asked, kind, name, action, store, created_at)))


def _answer_account(
    asked: Asked, kind: str, name: str, action: str, store: FileStore, created_at: int
) -> dict[str, Any]:
    match kind, bool(name), action, asked.method:
        case "files", False, "", "POST":
            return _add_file(asked, store, created_at)
        case "files", False, "", "GET":
            purpose = parse_qs(asked.query).get("purpose", [None])[0]
            return {"object": "list", "data": store.list_files(purpose), "has_more": False}
        case "files", True, "", "GET":
            return store.find_file(name).shown
        case "files", True, "", "DELETE":
            return store.remove_file(name)
        case "batches", False, "", "POST":
            return store.add_batch(_read_fields(asked), created_at)
        case "batches", False, "", "GET":
            return {"object": "list", "data": store.list_batches(), "has_more": False}
        case "batches", True, "", "GET":
            return store.find_batch(name)
        case "batches", True, "cancel", "POST":
            return store.cancel_batch(name)
    raise MethodNotAllowed()


def _add_file(asked: Asked, store: FileStore, created_at: int) -> dict[str, Any]:
    form = asked.form
    files = [] if form is None else [file for file in form.files if file.name == "file"]
    purpose = None if form is None else form.find("purpose")
    if not files or purpose is None:
        raise InvalidRequest("'file' and 'purpose' are needed.", param="file")
    return store.add_file(files[-1], purpose, created_at)


def _check_method(asked: Asked, allowed: str) -> None:
    if asked.method != allowed:
        raise MethodNotAllowed(f"This path takes {allowed} only.")
