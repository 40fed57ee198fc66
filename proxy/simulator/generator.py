"""
The simulator's brain: from the bytes of a request to the plan of its answer.

What is asked is read by the door that it came in by (`doors.py`), an answer is planned as OpenAI
would chunk it, and written as the door's vendor writes.

Pure: the same request at the same second gives the same plan, whoever plays it. Two faces
use it, `transport.py` inside a worker and `server.py` over HTTP.
"""

import hashlib
from collections.abc import Mapping

from proxy.domain.errors import (
    InvalidRequest,
    MethodNotAllowed,
    ModelNotFound,
    RequestError,
)
from proxy.simulator.ask import (
    ChatAsk,
    CompletionAsk,
    CountAsk,
    EmbeddingAsk,
    TextAsk,
    parse_request_knobs,
)
from proxy.simulator.chat import build_chat
from proxy.simulator.choice import count_prompt
from proxy.simulator.completions import build_completion
from proxy.simulator.doors import AnyAsk, find_format, open_door
from proxy.simulator.draft import Draft, build_error, build_good, build_reply, encode
from proxy.simulator.embeddings import build_embeddings
from proxy.simulator.fault_kind import Face, Fault
from proxy.simulator.faults import find_fault
from proxy.simulator.knobs import (
    DEFAULTS,
    FAULT_PREFIX,
    MODELS,
    NO_KNOBS,
    Knobs,
    merge_knobs,
    parse_model_name,
)
from proxy.simulator.model_list import find_model, list_models, show_model
from proxy.simulator.plan import Plan, Step
from proxy.simulator.response_memory import ResponseMemory
from proxy.simulator.responses_ask import ResponseAsk
from proxy.simulator.wire_format import WireFormat
from proxy.version import __version__

_NO_HEADERS: Mapping[str, str] = {}


def build_plan(
    method: str,
    target: str,
    body: bytes,
    *,
    created_at: int,
    face: Face,
    options: Knobs = NO_KNOBS,
    headers: Mapping[str, str] = _NO_HEADERS,
    memory: ResponseMemory | None = None,
) -> Plan:
    """
    Return the plan for one request; a bad request gets the plan of its error.

    Args:
        method: the HTTP method.
        target: a path with or without `/v1` and percent signs, which says whose format is
            spoken; behind a `?` its query.
        body: the whole body, empty for GET.
        created_at: epoch seconds, for the answer's `created`.
        face: who will play the plan; some faults exist on one face only.
        options: the knobs that the model's name and the request may still turn.
        headers: of the request, names in lower case.
        memory: what is kept of responses, and takes those of this request; None: nothing is.
    """
    path, _, query = target.partition("?")
    format_ = find_format(path, headers)
    memory = ResponseMemory() if memory is None else memory
    try:
        door = open_door(path, query, headers, memory)
        if door.read is not None:
            _check_method(method, "POST")
            return _answer(door.read(body), body, created_at, face, options, format_)
        if door.look is not None:
            return Plan(build_reply(200, encode(door.look(method))))
        if door.is_key:
            _check_method(method, "POST")
            return Plan(build_reply(200, encode({"valid": True})))
        if door.read_name is not None:
            _check_method(method, "POST")
            return Plan(build_reply(200, encode(show_model(door.read_name(body), face))))
        _check_method(method, "GET")
        if door.is_version:
            return Plan(build_reply(200, encode({"version": __version__})))
        if door.model:
            return Plan(build_reply(200, encode(find_model(door.model, face, format_.name))))
        return Plan(build_reply(200, encode(list_models(face, door.format.name))))
    except RequestError as error:
        return Plan(build_error(error, format_))


def _answer(
    ask: AnyAsk,
    body: bytes,
    created_at: int,
    face: Face,
    options: Knobs,
    format_: WireFormat,
) -> Plan:
    streams = isinstance(ask, TextAsk) and bool(ask.stream)
    fault: Fault | None = None
    steps: tuple[Step, ...]
    try:
        base, named = parse_model_name(ask.model)
        knobs = merge_knobs(
            DEFAULTS, MODELS.get(base, NO_KNOBS), options, named, parse_request_knobs(ask)
        )
        fault = _choose_fault(base, knobs)
        if fault is not None:
            _check_fault(fault, ask, face, format_)
            if base.startswith(FAULT_PREFIX):
                base = "sim-embed" if isinstance(ask, EmbeddingAsk) else fault.base
            if fault.adapt is not None:
                fault.adapt(ask)
        draft = _build_draft(ask, base, knobs, _seed(body), created_at)
        draft.format = ask.answers if isinstance(ask, ResponseAsk) else format_
        steps = build_good(draft) if fault is None else fault.play(draft)
    except RequestError as error:
        steps = build_error(error, format_)
        fault = None
    return Plan(steps, ask.model, streams, None if fault is None else fault.name)


def _choose_fault(base: str, knobs: Knobs) -> Fault | None:
    if base.startswith(FAULT_PREFIX):
        fault = find_fault(base)
        if fault is None:
            raise ModelNotFound(base)
        return fault
    if base not in MODELS:
        raise ModelNotFound(base)
    if not knobs.fault:
        return None
    fault = find_fault(knobs.fault)
    if fault is None:
        raise InvalidRequest(
            f"There is no fault '{knobs.fault[:80]}'; docs/simulator.md lists them all.",
            param="metadata.sim.fault",
        )
    return fault


def _check_fault(fault: Fault, ask: AnyAsk, face: Face, format_: WireFormat) -> None:
    streams = isinstance(ask, TextAsk) and bool(ask.stream)
    problem = None
    if face not in fault.faces:
        problem = f"can only be played by the {fault.faces[0]} simulator."
    elif fault.formats and format_.name not in fault.formats:
        problem = f"exists only in the formats {', '.join(fault.formats)}."
    elif fault.shape == "stream" and not streams:
        problem = "exists only in streams: send 'stream': true."
    elif fault.shape == "answer" and streams:
        problem = "exists only in whole answers: send 'stream': false."
    elif fault.reach == "chat" and not isinstance(ask, ChatAsk):
        problem = "exists only in chat completions."
    elif fault.reach == "text" and not isinstance(ask, TextAsk):
        problem = "exists only in chat and text completions."
    if problem is not None:
        raise InvalidRequest(f"The fault '{fault.name}' {problem}", param="model")


def _build_draft(ask: AnyAsk, base: str, knobs: Knobs, seed: int, created_at: int) -> Draft:
    if isinstance(ask, EmbeddingAsk):
        if base != "sim-embed":
            raise InvalidRequest(f"'{base}' makes no embeddings; use 'sim-embed'.", param="model")
        return build_embeddings(ask, knobs, created_at)
    if isinstance(ask, CountAsk):
        counted = {"input_tokens": count_prompt(ask.texts, 1, knobs)}
        return Draft(ask.model, created_at, knobs, streams=False, usage={}, body=counted)
    if base == "sim-embed":
        raise InvalidRequest("'sim-embed' makes embeddings only.", param="model")
    if isinstance(ask, CompletionAsk):
        return build_completion(ask, base, knobs, seed, created_at)
    return build_chat(ask, base, knobs, seed, created_at)


def _seed(body: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(body, digest_size=12).digest())


def _check_method(method: str, allowed: str) -> None:
    if method != allowed:
        raise MethodNotAllowed(f"This path takes {allowed} only.")
