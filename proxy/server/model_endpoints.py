"""`GET /v1/models` and `/v1/models/{id}`: what this server can be asked for."""

from collections.abc import Iterator

from aiohttp import web

from proxy.domain.catalog import Group, Snapshot
from proxy.domain.errors import ModelNotFound
from proxy.domain.identity import Caller
from proxy.server.json_reply import json_reply
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit

MODEL_ENDPOINTS = ("/models", "/models/{id}")


def add_model_endpoints(registrar: Registrar) -> None:
    """Add both paths with and without `/v1`; ids may hold slashes, raw or as %2F."""
    for prefix in ("/v1", ""):
        registrar.add("key", ("GET",), f"{prefix}/models", list_models)
        registrar.add("key", ("GET",), f"{prefix}/models/{{id}}", show_model)


async def list_models(visit: Visit) -> web.Response:
    """Answer with every alias and bare model name that has a usable provider."""
    snapshot = visit.snapshot
    groups = _list_groups(snapshot, visit.known_caller)
    models = [_describe(group, snapshot) for group in groups]
    return json_reply({"object": "list", "data": models})


async def show_model(visit: Visit) -> web.Response:
    """Answer with one model, whatever name it can be asked by."""
    snapshot, name = visit.snapshot, visit.parameter
    group = snapshot.find_group(name)
    if group is None or not group.deployments or not visit.known_caller.may_ask_for(name):
        raise ModelNotFound(name)
    return json_reply(_describe(group, snapshot))


def _list_groups(snapshot: Snapshot, caller: Caller) -> Iterator[Group]:
    """Yield what can be asked for; to a key with names of its own also `provider/model`."""
    names = [name for name in snapshot.groups if caller.may_ask_for(name)]
    if caller.models is not None:
        names += sorted(caller.models - snapshot.groups.keys())
    for name in names:
        group = snapshot.find_group(name)
        if group is not None and group.deployments:
            yield group


def _describe(group: Group, snapshot: Snapshot) -> dict[str, object]:
    return {
        "id": group.name,
        "object": "model",
        "created": int(snapshot.created_at),
        "owned_by": group.owned_by,
    }
