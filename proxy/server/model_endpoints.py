"""`GET /v1/models` and `/v1/models/{id}`: what this server can be asked for."""

from aiohttp import web

from proxy.domain.catalog import Group, Snapshot
from proxy.domain.errors import ModelNotFound
from proxy.pipeline.authenticate import authenticate
from proxy.server.json_reply import json_reply
from proxy.server.shape import shaped
from proxy.server.state import STATE

MODEL_ENDPOINTS = ("/models", "/models/{id}")


def add_model_endpoints(app: web.Application) -> None:
    """Add both paths with and without `/v1`; ids may hold slashes, raw or as %2F."""
    for prefix in ("/v1", ""):
        app.router.add_get(f"{prefix}/models", shaped(list_models))
        app.router.add_get(f"{prefix}/models/{{id:.+}}", shaped(show_model))


async def list_models(request: web.Request) -> web.Response:
    """Answer with every alias and bare model name that has a usable provider."""
    snapshot = _authorised_snapshot(request)
    models = [_describe(group, snapshot) for group in snapshot.groups.values() if group.deployments]
    return json_reply({"object": "list", "data": models})


async def show_model(request: web.Request) -> web.Response:
    """Answer with one model, whatever name it can be asked by."""
    snapshot = _authorised_snapshot(request)
    name = request.match_info["id"]
    group = snapshot.find_group(name)
    if group is None or not group.deployments:
        raise ModelNotFound(name)
    return json_reply(_describe(group, snapshot))


def _authorised_snapshot(request: web.Request) -> Snapshot:
    runtime = request.app[STATE].runtime
    snapshot = runtime.snapshot
    authenticate(request.headers, snapshot, runtime.hasher)
    return snapshot


def _describe(group: Group, snapshot: Snapshot) -> dict[str, object]:
    return {
        "id": group.name,
        "object": "model",
        "created": int(snapshot.created_at),
        "owned_by": group.owned_by,
    }
