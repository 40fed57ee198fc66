"""`GET /v1/models` and `/v1/models/{id}`: what this server can be asked for."""

from aiohttp import web

from proxy.domain.errors import ModelNotFound
from proxy.server.json_reply import body_reply, json_reply
from proxy.server.model_list import ModelList, describe_model
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit

MODEL_ENDPOINTS = ("/models", "/models/{id}")


def add_model_endpoints(registrar: Registrar) -> None:
    """Add both paths with and without `/v1`; ids may hold slashes, raw or as %2F."""
    models = ModelList()

    async def list_models(visit: Visit) -> web.Response:
        return body_reply(await models.read(visit.snapshot, visit.known_caller))

    for prefix in ("/v1", ""):
        registrar.add("key", ("GET",), f"{prefix}/models", list_models)
        registrar.add("key", ("GET",), f"{prefix}/models/{{id}}", show_model)


async def show_model(visit: Visit) -> web.Response:
    """Answer with one model, whatever name it can be asked by."""
    snapshot, name = visit.snapshot, visit.parameter
    group = snapshot.find_group(name)
    if group is None or not group.deployments or not visit.known_caller.may_ask_for(name):
        raise ModelNotFound(name)
    return json_reply(describe_model(group, snapshot))
