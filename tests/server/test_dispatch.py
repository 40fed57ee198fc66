"""From a request to its handler."""

from aiohttp import EMPTY_PAYLOAD, web
from aiohttp.test_utils import make_mocked_request

from proxy.server.dispatch import Dispatcher
from proxy.server.routes import Handler, Route, Routes


def say(text: str) -> Handler:
    """Return a handler that answers with a text."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text)

    return handler


async def ask(method: str, target: str) -> str | None:
    """Return which handler answers."""
    routes = Routes()
    routes.add(Route("/a", "open", {"GET": say("a")}, say("other method")))
    routes.add(Route("/a/{name}", "open", {"GET": say("name")}, say("other method")))
    headers = {"Host": "proxy.test"}
    request = make_mocked_request(method, target, headers=headers, payload=EMPTY_PAYLOAD)
    answer = await Dispatcher(routes, say("nowhere")).answer(request)
    assert isinstance(answer, web.Response)
    return answer.text


async def test_path_and_method_lead_to_the_handler() -> None:
    """The query plays no part; a method of no handler and a path of no route have their own."""
    assert await ask("GET", "/a?b=/c") == "a"
    assert await ask("GET", "/a/b") == "name"
    assert await ask("POST", "/a") == "other method"
    assert await ask("GET", "/b") == "nowhere"
    assert await ask("GET", "http://proxy.test/a") == "a"
