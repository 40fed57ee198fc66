"""The one way to a route: a level is asked for, and what has none of its own is refused."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from proxy.policy.access import Access
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit
from tests.fakes.proxy_server import build_runtime


def build_registrar() -> Registrar:
    """Return one over a catalog of nothing."""
    return Registrar(build_runtime())


async def answer(visit: Visit) -> web.StreamResponse:
    """Answer with what the path holds."""
    return web.Response(text=visit.parameter)


def test_a_route_without_a_level_cannot_be_added() -> None:
    """There is no default: a forgotten level is a mistake at start-up, not an open path."""
    with pytest.raises(TypeError):
        build_registrar().add(methods=("GET",), pattern="/a", endpoint=answer)  # type: ignore[call-arg]


def test_get_answers_head_and_browsers() -> None:
    """A path that takes GET takes HEAD and preflights, and nothing else."""
    registrar = build_registrar()
    registrar.add("key", ("GET",), "/a/{name}", answer)
    (route,) = registrar.routes.all
    assert route.access == "key"
    assert list(route.handlers) == ["GET", "HEAD", "OPTIONS"]


def test_a_path_of_the_pipeline_asks_for_a_key() -> None:
    """It takes its own methods and preflights; its handler stands there unwrapped."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response()

    registrar = build_registrar()
    registrar.add_pipeline(("POST",), "/v1/a", handler)
    (route,) = registrar.routes.all
    assert (route.access, list(route.handlers)) == ("key", ["POST", "OPTIONS"])
    assert route.handlers["POST"] is handler
    registrar.add_pipeline(("GET",), "/v1/b", handler)
    # What it answers it writes with its body: there is no HEAD.
    assert list(registrar.routes.all[1].handlers) == ["GET", "OPTIONS"]


@pytest.mark.parametrize(("access", "status"), [("open", 404), ("key", 401)])
async def test_nowhere_may_ask_for_a_key_first(access: Access, status: int) -> None:
    """Below a path that exists a stranger is not told what is there and what is not."""
    nowhere = build_registrar().build_nowhere(access)
    assert (await nowhere(make_mocked_request("GET", "/v1/a/b"))).status == status
