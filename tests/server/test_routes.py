"""Paths are compared as they were sent; nothing hides in one."""

import pytest
from aiohttp import web

from proxy.server.routes import Route, Routes, read_parameter


async def answer(request: web.Request) -> web.StreamResponse:
    """Answer nothing of interest."""
    return web.Response()


def build_route(pattern: str) -> Route:
    """Return an open route."""
    return Route(pattern, "open", {"GET": answer}, answer)


MODEL = build_route("/v1/models/{id}")


def find(path: str) -> Route | None:
    """Return the route that a server with a list and its items has for a path."""
    routes = Routes()
    for route in (build_route("/v1/models"), MODEL):
        routes.add(route)
    return routes.find(path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/models/m", "m"),
        ("/v1/models/org/model:7b", "org/model:7b"),
        ("/v1/models/org%2Fmodel", "org/model"),
        ("/v1/models/org%2fmodel%3A7b", "org/model:7b"),
        ("/v1/models/gpt-4.1", "gpt-4.1"),
        ("/v1/models/a%252Fb", "a%2Fb"),
        ("/v1/models/..a", "..a"),
    ],
)
def test_the_last_part_is_taken_and_decoded_once(path: str, name: str) -> None:
    """Slashes of an id may come raw or encoded; what was encoded twice stays encoded once."""
    assert find(path) is MODEL
    assert read_parameter(MODEL.pattern, path) == name


def test_a_longer_beginning_hides_no_shorter_one() -> None:
    """Where nothing follows the longer pattern's beginning, the shorter one has the path."""
    routes = Routes()
    orders, rest = build_route("/admin/breakers/{order}"), build_route("/admin/{path}")
    for route in (orders, rest):
        routes.add(route)
    assert routes.find("/admin/breakers/up/open") is orders
    assert routes.find("/admin/breakers/") is rest
    assert routes.find("/admin/breakers/../config") is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/",
        "//v1/models",
        "/v1//models",
        "/v1/models//m",
        "/v1/models/%2Fm",
        "/v1/models/a//b",
        "/v1/models/a%2F%2Fb",
        "/v1/models/..",
        "/v1/models/../admin",
        "/v1/models/a/./b",
        "/v1/models/a%2F..%2Fb",
        "/v1/models/%2e%2e/admin",
        "/v1/models/%2E",
        "/v1/models/a\\b",
        "/v1/models/a%5cb",
        "/v1/models/a;b",
        "/v1/models/a#b",
        "/v1/..;/models",
        "/v1%2Fmodels",
        "/v1/%6dodels",
        "/V1/models",
        "/v1/models.",
        "/v1/models%00",
        "/v1/models%20",
    ],
)
def test_tricks_lead_nowhere(path: str) -> None:
    """Dot segments, empty ones, backslashes, semicolons and encoded letters find no route."""
    assert find(path) is None


def test_a_pattern_is_added_once() -> None:
    """A second route under a pattern would hide what guards the first."""
    routes = Routes()
    routes.add(MODEL)
    with pytest.raises(ValueError, match="was added already"):
        routes.add(build_route("/v1/models/{id}"))
