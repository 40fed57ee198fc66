"""Below `/admin` all is denied but to an admin key, and the supervisor's word is passed on."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
import pytest

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import ProxyError
from proxy.domain.identity import Caller
from proxy.domain.service_errors import SupervisorRefused, SupervisorUnavailable
from proxy.policy.shedding import LEAST_IN_FLIGHT
from proxy.server.admin_endpoints import METHODS
from tests.fakes.proxy_server import (
    ADMIN_KEY,
    HASHER,
    KEY,
    build_snapshot,
    build_status,
    serving,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

APPLIED = {
    "result": "applied",
    "generation": 8,
    "changes": ["provider up: timeout 30 -> 60"],
    "needs_restart": [],
    "warnings": [],
    "problems": [],
    "message": "generation 8 is served",
}
NAMES = ["reload", "restart-workers", "config", "config/history", "config/diff"]


class ScriptedDesk:
    """A Desk whose supervisor always answers the same, and keeps what it was asked."""

    def __init__(self, answer: Mapping[str, Any] | ProxyError) -> None:
        self.status = build_status()
        self.asked: list[tuple[str, Mapping[str, object], str]] = []
        self._answer = answer

    async def ask(self, what: str, arguments: Mapping[str, object], by: str) -> bytes:
        """Keep the question, and answer."""
        self.asked.append((what, arguments, by))
        if isinstance(self._answer, ProxyError):
            raise self._answer
        return msgspec.json.encode(self._answer)


def build_administrated() -> Snapshot:
    """Return a snapshot with a user key and an admin key."""
    snapshot = build_snapshot()
    admin = {HASHER.digest(ADMIN_KEY): Caller(HASHER.key_id(ADMIN_KEY), role="admin")}
    return msgspec.structs.replace(snapshot, callers={**snapshot.callers, **admin})


async def ask(
    method: str,
    path: str,
    key: str | None = ADMIN_KEY,
    *,
    desk: ScriptedDesk | None = None,
    body: bytes | None = None,
    snapshot: Snapshot | None = None,
) -> tuple[int, Any]:
    """Return (status, body) of an answer that may be kept by nobody and read by no page."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    async with (
        serving(snapshot or build_administrated(), {}, desk or ScriptedDesk(APPLIED)) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session,
        session.request(method, path, headers=headers, data=body) as answer,
    ):
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        return answer.status, None if method == "HEAD" else await answer.json()


@pytest.mark.parametrize("path", ["/admin", "/admin/keys", "/admin/a/b?c=d"])
@pytest.mark.parametrize("method", METHODS)
async def test_each_method_is_denied(method: str, path: str) -> None:
    """Without a key 401, with a user's 403, with an admin's 404: the same for every method."""
    found = [(await ask(method, path, key))[0] for key in (None, KEY, ADMIN_KEY)]
    assert found == [401, 403, 404]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", METHODS)
async def test_what_there_is_is_denied_as_well(method: str, name: str) -> None:
    """Nobody without an admin key learns which paths there are, or which methods they take."""
    found = [(await ask(method, f"/admin/{name}", key))[0] for key in (None, KEY)]
    assert found == [401, 403]


async def test_a_worker_without_a_place_is_administered() -> None:
    """However full or late it is, an admin's order is carried out: it takes no place."""
    snapshot = build_administrated()
    async with (
        serving(snapshot, {}, ScriptedDesk(APPLIED)) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session,
    ):
        server.runtime.in_flight = snapshot.settings.max_in_flight
        server.runtime.shedding.ceiling = LEAST_IN_FLIGHT
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with session.post("/admin/reload", headers=headers) as answer:
            assert answer.status == 200
        server.runtime.in_flight = 0


async def test_the_record_names_the_key_that_was_denied() -> None:
    """Who knocked with a key of ours is known by its `key_id`, and by its organization."""
    async with (
        serving(build_administrated(), {}) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session,
        session.get("/admin/keys", headers={"Authorization": f"Bearer {KEY}"}),
    ):
        (record,) = await server.observer.wait_for_records()
    assert (record.status, record.key_id) == (403, HASHER.key_id(KEY))
    assert record.organization_id == "default"


async def test_without_admin_keys_it_says_how_to_set_one() -> None:
    """No key opens anything then, and the 403 names the setting."""
    status, body = await ask("GET", "/admin/keys", KEY, snapshot=build_snapshot())
    assert status == 403
    assert "'admin_keys' in config.yaml" in body["detail"]
    assert body["detail"] == body["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/admin/nothing", "not_found"),
        ("GET", "/admin/reload", "method_not_allowed"),
        ("POST", "/admin/config", "method_not_allowed"),
        ("GET", "/admin/config/diff", None),
    ],
)
async def test_errors_have_the_shape_of_administration(
    method: str, path: str, code: str | None
) -> None:
    """Every error is `detail` and OpenAI's object, with the same words in both."""
    _, body = await ask(method, path)
    assert list(body) == ["detail", "error"]
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["message"] == body["detail"]
    assert body["error"]["code"] == code


@pytest.mark.parametrize(
    ("body", "allows"),
    [(None, False), (b"{}", False), (b'{"allow_shrink":true}', True)],
)
async def test_a_reload_is_the_supervisors(body: bytes | None, allows: bool) -> None:
    """It is asked with what the body allows and who asked, and its answer is passed on."""
    desk = ScriptedDesk(APPLIED)
    status, answer = await ask("POST", "/admin/reload", desk=desk, body=body)
    assert (status, answer) == (200, APPLIED)
    by = f"POST /admin/reload by {HASHER.key_id(ADMIN_KEY)}"
    assert desk.asked == [("reload", {"allow_shrink": allows}, by)]


@pytest.mark.parametrize(
    ("result", "status", "code"),
    [
        ("unchanged", 200, None),
        ("rejected", 422, "config_rejected"),
        ("guarded", 409, "config_guarded"),
    ],
)
async def test_a_refused_reload_is_an_error_that_tells_everything(
    result: str, status: int, code: str | None
) -> None:
    """The body is always the whole result; one that was refused is an error's body too."""
    told = {**APPLIED, "result": result, "problems": ["config.yaml:3:1: a mistake"]}
    found, answer = await ask("POST", "/admin/reload", desk=ScriptedDesk(told))
    assert found == status
    assert {name: answer.pop(name) for name in told} == told
    if code is None:
        assert answer == {}
    else:
        assert answer["detail"] == answer["error"]["message"] == told["message"]
        assert answer["error"]["code"] == code


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[]", 400),
        (b"{", 400),
        (b'{"allow_shrink":"yes"}', 400),
        (b'{"allow_shrink":1}', 400),
        (b'{"allow_shrinking":true}', 400),
        (b" " * 5000, 413),
    ],
)
async def test_a_body_that_means_something_else_reloads_nothing(body: bytes, status: int) -> None:
    """What is misspelt, of another type or too large is refused, and nobody is asked."""
    desk = ScriptedDesk(APPLIED)
    assert (await ask("POST", "/admin/reload", desk=desk, body=body))[0] == status
    assert desk.asked == []


@pytest.mark.parametrize(
    ("method", "path", "what", "arguments"),
    [
        ("POST", "/admin/restart-workers", "restart_workers", {}),
        ("GET", "/admin/config", "config", {}),
        ("GET", "/admin/config/history", "history", {}),
        ("GET", "/admin/config/diff?a=3&b=12", "diff", {"a": 3, "b": 12}),
    ],
)
async def test_everything_else_is_passed_on(
    method: str, path: str, what: str, arguments: dict[str, object]
) -> None:
    """Each path asks for its own thing, and the answer's body is the supervisor's."""
    desk = ScriptedDesk({"entries": []})
    assert await ask(method, path, desk=desk) == (200, {"entries": []})
    assert [asked[:2] for asked in desk.asked] == [(what, arguments)]


@pytest.mark.parametrize("query", ["", "?a=1", "?a=1&b=x", "?a=-1&b=2", "?a=1&b=1234567890"])
async def test_a_difference_needs_two_generations(query: str) -> None:
    """What is no number is refused with the way to the numbers, and nobody is asked."""
    desk = ScriptedDesk(APPLIED)
    status, body = await ask("GET", f"/admin/config/diff{query}", desk=desk)
    assert status == 400
    assert "/admin/config/history" in body["detail"]
    assert desk.asked == []


@pytest.mark.parametrize(
    ("error", "status"),
    [(SupervisorUnavailable(), 503), (SupervisorRefused("there is no such generation"), 409)],
)
async def test_a_supervisor_that_cannot_is_an_error(error: ProxyError, status: int) -> None:
    """Gone or unwilling: the answer says which, in its words."""
    found, body = await ask("GET", "/admin/config", desk=ScriptedDesk(error))
    assert found == status
    assert body["detail"] == error.message
