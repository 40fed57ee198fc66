"""`/admin/breakers`: what is shown of circuit breakers, and what can be said to them."""

from collections.abc import Mapping

import msgspec
import pytest

from proxy.domain.breaker import BreakerRules
from proxy.domain.errors import ProxyError
from proxy.domain.service_errors import SupervisorUnavailable
from proxy.stores.redis_breakers import RedisBreakers
from proxy.stores.redis_link import RedisLink
from tests.fakes.proxy_server import ADMIN_KEY, HASHER, build_status
from tests.server.administration import administrating

pytestmark = pytest.mark.usefixtures("no_leaks")


class BreakerDesk:
    """A Desk whose supervisor tells so many workers, or is gone; keeps what it was asked."""

    def __init__(self, workers: int | None = 2) -> None:
        self.status = build_status()
        self.asked: list[tuple[str, Mapping[str, object], str]] = []
        self._workers = workers

    async def ask(self, what: str, arguments: Mapping[str, object], by: str) -> bytes:
        """Keep the question, and answer."""
        self.asked.append((what, arguments, by))
        if self._workers is None:
            error: ProxyError = SupervisorUnavailable()
            raise error
        return msgspec.json.encode({"message": "told", "workers": self._workers})


async def test_nothing_is_shown_while_nothing_is_the_matter() -> None:
    """All closed: an empty list, with the rules and whether others see the same."""
    async with administrating() as asked:
        status, body = await asked.ask("GET", "/admin/breakers")
    assert status == 200
    assert body.keys() == {"breakers", "shared", "rules", "timestamp"}
    assert (body["breakers"], body["shared"]) == ([], False)
    assert body["rules"]["consecutive"] == 5


async def test_the_rules_are_those_that_decide_now() -> None:
    """While Redis is away a process goes by weaker rules of its own, and shows these."""
    away = RedisBreakers(RedisLink("redis://127.0.0.1:1"), BreakerRules(consecutive=7))
    async with administrating(breakers=away) as asked:
        _, body = await asked.ask("GET", "/admin/breakers")
    rules = body["rules"]
    assert body["shared"] is False
    assert (rules["consecutive"], rules["min_calls"], rules["permits"]) == (3, 5, 1)


async def test_a_breaker_is_shown_with_all_that_is_known() -> None:
    """An open one tells why, how often, and when it may be tried again."""
    async with administrating() as asked:
        asked.report("up/org/m:free", times=5)
        _, body = await asked.ask("GET", "/admin/breakers")
    (shown,) = body["breakers"]
    assert 0 < shown.pop("retry_in_s") <= 66
    assert shown.pop("last_failure_time") == pytest.approx(body["timestamp"], abs=60)
    assert shown == {
        "id": "up/org/m:free",
        "provider": "up",
        "model": "org/m:free",
        "kind": "deployment",
        "state": "open",
        "cause": "failures",
        "failure_count": shown["failure_count"],
        "trips": 1,
        "window": shown["window"],
        "permits_in_use": 0,
    }
    assert shown["window"].keys() == {"calls", "failed", "slow"}


async def test_what_is_shown_can_be_narrowed() -> None:
    """By state, by provider, or to everything that there is."""
    async with administrating() as asked:
        asked.report("up/m", times=5)
        asked.report("key:any", "hold", hold_s=60.0, cause="auth")
        asked.report("any/routed")

        async def list_ids(query: str) -> list[str]:
            _, body = await asked.ask("GET", f"/admin/breakers{query}")
            return [each["id"] for each in body["breakers"]]

        assert await list_ids("") == ["up/m", "key:any", "any/routed"]
        assert await list_ids("?state=open") == ["up/m", "key:any"]
        assert await list_ids("?state=closed") == ["any/routed"]
        assert await list_ids("?provider=any&state=open") == ["key:any"]
        assert len(await list_ids("?all=true")) == 8
        assert await list_ids("?all=true&provider=any&state=closed") == [
            "host:any",
            "any/routed",
            "any/*",
        ]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("state=broken", "state"), ("provider=gone", "provider"), ("all=maybe", "all")],
)
async def test_what_cannot_be_asked_for_is_refused(query: str, parameter: str) -> None:
    """A filter that can match nothing is a mistake, and named."""
    async with administrating() as asked:
        status, body = await asked.ask("GET", f"/admin/breakers?{query}")
    assert (status, body["error"]["param"]) == (400, parameter)


@pytest.mark.parametrize("path", ["up/org/m:free", "up%2Forg%2Fm:free", "up%2forg%2fm%3Afree"])
@pytest.mark.parametrize(
    ("command", "state"), [("open", "forced_open"), ("close", "disabled"), ("reset", "closed")]
)
async def test_an_order_is_carried_out(path: str, command: str, state: str) -> None:
    """Ids may come raw or encoded; the answer says what was done and how they stand now."""
    async with administrating() as asked:
        asked.report("up/org/m:free", times=5)
        status, body = await asked.ask("POST", f"/admin/breakers/{path}/{command}")
        assert asked.look("up/org/m:free") == state
    assert status == 200
    assert body["message"].startswith("up/org/m:free: ")
    assert body["timestamp"] > 0
    assert [(each["id"], each["state"]) for each in body["breakers"]] == [("up/org/m:free", state)]


async def test_one_word_reaches_all_of_a_provider_or_of_everybody() -> None:
    """A provider's name means its deployments, host and key; `*` means all, for a reset."""
    async with administrating() as asked:
        status, body = await asked.ask("POST", "/admin/breakers/up/open")
        assert (status, body["count"]) == (200, 4)
        assert {each["state"] for each in body["breakers"]} == {"forced_open"}
        asked.report("host:any", "hold", hold_s=60.0, cause="failures")
        status, body = await asked.ask("POST", "/admin/breakers/*/reset")
        assert (status, body["count"]) == (200, 5)
        assert {each["state"] for each in body["breakers"]} == {"closed"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("up/unlisted/reset", 404),
        ("gone/reset", 404),
        ("gone/m/reset", 404),
        ("host:gone/open", 404),
        ("m/reset", 404),
        ("up/m/explode", 404),
        ("up/m", 404),
        ("reset", 404),
        ("up/../reset", 404),
        ("*/open", 400),
        ("%2A/close", 400),
    ],
)
async def test_what_is_no_order_is_refused(path: str, status: int) -> None:
    """Unknown ids are 404 and say what ids look like; nobody shuts everything at once."""
    async with administrating() as asked:
        found, body = await asked.ask("POST", f"/admin/breakers/{path}")
        assert asked.look("up/m") == "closed"
    assert found == status
    if status == 404 and ".." not in path:
        assert "'provider/model'" in body["detail"]


async def test_nothing_behind_the_slash_is_denied_like_all_else() -> None:
    """The path that ends too early is no path of anybody but an admin."""
    async with administrating() as asked:
        assert (await asked.ask("POST", "/admin/breakers/", key="wrong"))[0] == 401
        assert (await asked.ask("POST", "/admin/breakers/"))[0] == 404


@pytest.mark.parametrize(("workers", "where"), [(3, "3 workers"), (1, "1 worker")])
async def test_breakers_of_its_own_are_every_workers_business(workers: int, where: str) -> None:
    """Where each worker has breakers of its own, the supervisor is asked to tell all."""
    desk = BreakerDesk(workers)
    async with administrating(desk=desk) as asked:
        status, body = await asked.ask("POST", "/admin/breakers/up%2Fm/open")
    assert (status, body["message"]) == (200, f"up/m: forced open in {where}")
    by = f"POST /admin/breakers/up/m/open by {HASHER.key_id(ADMIN_KEY)}"
    assert desk.asked == [("breaker", {"id": "up/m", "command": "open"}, by)]


async def test_without_a_supervisor_it_says_how_far_it_goes() -> None:
    """Done here, and told that it is here only."""
    async with administrating(desk=BreakerDesk(workers=None)) as asked:
        status, body = await asked.ask("POST", "/admin/breakers/up%2Fm/close")
        assert asked.look("up/m") == "disabled"
    assert (status, body["message"]) == (200, "up/m: switched off in this process")
