"""
`/v1/responses/{id}` and what is below it: answers of the Responses API, after they were given.

What is kept here is answered from the store, what a provider keeps is asked of that provider. Of
what belongs to another organization, or to a model that the key may not ask for, the answer is
the same as of what does not exist.
"""

import re
from urllib.parse import quote

from aiohttp import web

from proxy.domain.errors import InvalidRequest, RouteNotFound
from proxy.domain.service_errors import ResponseNotFound
from proxy.domain.stored_response import StoredResponse
from proxy.pipeline.context import Runtime
from proxy.pipeline.kept_answer import KeptQuestion, fetch_kept
from proxy.pipeline.resume import find_response
from proxy.server.json_reply import body_reply, json_reply
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit
from proxy.wire.responses_page import build_item_page, read_page_query

PREFIXES = ("/v1", "", "/openai/v1", "/openai")
RESPONSES = "/responses/"
RESPONSE_ENDPOINT = "/responses/{rest}"
_ID = re.compile(r"[\w.:=-]{1,256}", re.ASCII)
_METHODS = {"": ("GET", "DELETE"), "input_items": ("GET",), "cancel": ("POST",)}
"""What may be asked of a response, and how."""


class ResponseEndpoints:
    """Answers what is asked about responses that were given before."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def add(self, registrar: Registrar) -> None:
        """Add the paths under each prefix."""
        for prefix in PREFIXES:
            registrar.add(
                "key",
                ("GET", "DELETE", "POST"),
                prefix + RESPONSE_ENDPOINT,
                self.answer,
                label=RESPONSE_ENDPOINT,
            )

    async def answer(self, visit: Visit) -> web.Response:
        """Answer one question about one response."""
        response_id, _, what = visit.parameter.partition("/")
        method = "GET" if visit.request.method == "HEAD" else visit.request.method
        if method not in _METHODS.get(what, ()):
            raise RouteNotFound()
        stored = None
        if _ID.fullmatch(response_id):
            store = self._runtime.responses
            stored = await find_response(store, visit.known_caller, response_id)
        if stored is None:
            raise ResponseNotFound(f"Response with id '{response_id[:80]}' not found.")
        if what == "cancel":
            raise InvalidRequest("Only a response that is made in the background can be cancelled.")
        if method == "DELETE":
            return await self._delete(visit, stored)
        return await (self._list_input(visit, stored) if what else self._show(visit, stored))

    async def _show(self, visit: Visit, stored: StoredResponse) -> web.Response:
        query = visit.request.query
        if query.get("stream", "false") != "false":
            raise InvalidRequest("A response is streamed once, as it is made.", param="stream")
        if stored.provider is None:
            return body_reply(stored.body)
        included = [f"include[]={quote(each, safe='')}" for each in _list_included(visit)]
        return body_reply(await self._fetch(visit, stored, "GET", query="&".join(included)))

    async def _list_input(self, visit: Visit, stored: StoredResponse) -> web.Response:
        page = read_page_query(visit.request.query)
        if stored.provider is None:
            return body_reply(build_item_page(stored.input, page))
        included = [f"include[]={quote(each, safe='')}" for each in _list_included(visit)]
        asked = [f"{name}={quote(value, safe='')}" for name, value in page.list_asked()]
        query = "&".join([*asked, *included])
        return body_reply(await self._fetch(visit, stored, "GET", "/input_items", query))

    async def _delete(self, visit: Visit, stored: StoredResponse) -> web.Response:
        owner = visit.known_caller.organization_id
        body = None
        try:
            if stored.provider is not None:
                body = await self._fetch(visit, stored, "DELETE")
        except ResponseNotFound:
            await self._runtime.responses.delete(owner, stored.id)
            raise
        await self._runtime.responses.delete(owner, stored.id)
        if body is not None:
            return body_reply(body)
        return json_reply({"id": stored.id, "object": "response", "deleted": True})

    async def _fetch(
        self, visit: Visit, stored: StoredResponse, method: str, what: str = "", query: str = ""
    ) -> bytes:
        path = f"/{quote(stored.id, safe='')}{what}"
        question = KeptQuestion(stored.provider or "", method, path, query)
        return await fetch_kept(self._runtime, visit.known_caller, question)


def _list_included(visit: Visit) -> list[str]:
    """Return what is wanted besides, in either way that clients write a list."""
    query = visit.request.query
    return [*query.getall("include[]", []), *query.getall("include", [])][:32]
