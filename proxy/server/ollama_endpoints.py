"""
What Ollama's clients ask of a server besides answers: which models there are, and what it is.

Their paths begin with `/api/`. Those that a provider answers are in `chat_endpoints.py`.
"""

import asyncio
import hashlib
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from proxy.domain.catalog import Group, Snapshot
from proxy.domain.errors import InvalidRequest, ModelNotFound
from proxy.server.json_reply import body_reply, json_reply
from proxy.server.model_list import GROUPS_PER_TURN, list_groups
from proxy.server.registrar import Registrar
from proxy.server.request_body import read_body
from proxy.server.shape import Visit
from proxy.version import __version__
from proxy.wire.ollama_writer import format_time

OLLAMA_ENDPOINTS = ("/api/tags", "/api/show", "/api/version", "/api/ps")
MAX_SHOW_BYTES = 4096
_CAPABILITIES = ("completion", "tools", "vision")
"""What every model may be asked for here; whether one can is known to its provider alone."""


class ShowAsked(Struct):
    """The body of a request for one model; `name` is what older clients call it."""

    model: str | None = None
    name: str | None = None


def add_ollama_endpoints(registrar: Registrar) -> None:
    """Add the paths, all of which want a key, as everything does that tells of models."""
    tags, show, version, loaded = OLLAMA_ENDPOINTS
    registrar.add("key", ("GET",), tags, list_tags)
    registrar.add("key", ("POST",), show, show_model)
    registrar.add("key", ("GET",), version, show_version)
    registrar.add("key", ("GET",), loaded, list_loaded)


async def list_tags(visit: Visit) -> web.Response:
    """Answer with every model that the key may ask for."""
    snapshot = visit.snapshot
    parts: list[bytes] = []
    for index, group in enumerate(list_groups(snapshot, visit.known_caller)):
        if index % GROUPS_PER_TURN == GROUPS_PER_TURN - 1:
            await asyncio.sleep(0)
        if group.deployments:
            parts.append(msgspec.json.encode(describe_tag(group, snapshot)))
    return body_reply(b'{"models":[%b]}' % b",".join(parts))


async def show_model(visit: Visit) -> web.Response:
    """Answer with one model, whatever name it can be asked by."""
    settings = replace(visit.snapshot.settings, max_body_bytes=MAX_SHOW_BYTES)
    try:
        asked = msgspec.json.decode(await read_body(visit.request, settings), type=ShowAsked)
    except msgspec.MsgspecError:
        raise InvalidRequest(
            "The body must be a JSON object with the name of a 'model'.", param="model"
        ) from None
    name = visit.snapshot.find_untagged(asked.model or asked.name or "")
    if not name:
        raise InvalidRequest("'model' must name a model; GET /api/tags lists them.", param="model")
    group = visit.snapshot.find_group(name)
    if group is None or not group.deployments or not visit.known_caller.may_ask_for(name):
        raise ModelNotFound(name)
    return json_reply(describe_shown(group, visit.snapshot))


async def show_version(visit: Visit) -> web.Response:
    """Answer with the version of this proxy: there is none of an Ollama."""
    return json_reply({"version": __version__})


async def list_loaded(visit: Visit) -> web.Response:
    """Answer that no model is loaded: this server has none."""
    return json_reply({"models": []})


def describe_tag(group: Group, snapshot: Snapshot) -> dict[str, Any]:
    """
    Return a model as Ollama's list has it.

    It has no file here: its size is 0, and its digest is made of its name.
    """
    return {
        "name": group.name,
        "model": group.name,
        "modified_at": format_time(snapshot.created_at),
        "size": 0,
        "digest": hashlib.sha256(group.name.encode()).hexdigest(),
        "details": _describe_details(group),
        "capabilities": _CAPABILITIES,
    }


def describe_shown(group: Group, snapshot: Snapshot) -> dict[str, Any]:
    """Return a model as it is shown alone; its length of context stands there if it is known."""
    info: dict[str, Any] = {"general.architecture": group.owned_by, "general.basename": group.name}
    known = [d.info.max_input_tokens for d in group.deployments if d.info.max_input_tokens]
    if known:
        # Whoever answers, so much fits.
        info[f"{group.owned_by}.context_length"] = min(known)
    return {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _describe_details(group),
        "model_info": info,
        "capabilities": _CAPABILITIES,
        "modified_at": format_time(snapshot.created_at),
    }


def _describe_details(group: Group) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": group.owned_by,
        "families": [group.owned_by],
        "parameter_size": "",
        "quantization_level": "",
    }
