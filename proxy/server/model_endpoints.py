"""
`GET /v1/models` and `/v1/models/{id}`: what this server can be asked for.

Who says `anthropic-version` gets Anthropic's shape, everybody else OpenAI's.
"""

from aiohttp import web

from proxy.domain.errors import ModelNotFound
from proxy.server.client_dialect import VERSION_HEADER
from proxy.server.json_reply import body_reply, json_reply
from proxy.server.model_list import ModelList, describe_model
from proxy.server.model_page import describe_for_anthropic, read_page
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit

PREFIXES = ("/v1", "", "/openai/v1", "/openai")
"""The last two are those of Azure's clients."""
MODEL_ENDPOINTS = ("/models", "/models/{id}")


def add_model_endpoints(registrar: Registrar) -> None:
    """Add both paths under each prefix; ids may hold slashes, raw or as %2F."""
    models = ModelList()

    async def list_models(visit: Visit) -> web.Response:
        if _is_anthropics(visit):
            page = await read_page(visit.snapshot, visit.known_caller, visit.request.query)
            return body_reply(page)
        return body_reply(await models.read(visit.snapshot, visit.known_caller))

    for prefix in PREFIXES:
        for path, endpoint in zip(MODEL_ENDPOINTS, (list_models, show_model), strict=True):
            registrar.add("key", ("GET",), prefix + path, endpoint, label=path)


async def show_model(visit: Visit) -> web.Response:
    """Answer with one model, whatever name it can be asked by."""
    snapshot, name = visit.snapshot, visit.parameter
    group = snapshot.find_group(name)
    if group is None or not group.deployments or not visit.known_caller.may_ask_for(name):
        raise ModelNotFound(name)
    if _is_anthropics(visit):
        return json_reply(describe_for_anthropic(group, snapshot))
    return json_reply(describe_model(group, snapshot))


def _is_anthropics(visit: Visit) -> bool:
    return VERSION_HEADER in visit.request.headers
