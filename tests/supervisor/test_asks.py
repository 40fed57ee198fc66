"""What workers and commands ask: answers as JSON, refusals in words, never a failure."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from proxy.control.messages import Ask, BreakerOrder
from proxy.supervisor.accepted import Accepted
from proxy.supervisor.asks import Asks
from proxy.supervisor.breaker_orders import BreakerOrders
from proxy.supervisor.health_child import HealthChild
from proxy.supervisor.live_config import LiveConfig, ReloadResult
from proxy.supervisor.startup import load_first
from tests.canaries import CLIENT_KEY, PROVIDER_KEY
from tests.supervisor.children import keeping
from tests.supervisor.fleets import FleetUnderTest, running
from tests.supervisor.places import Folder, build_file

pytestmark = pytest.mark.usefixtures("no_leaks")


async def ignore(result: ReloadResult, accepted: Accepted | None) -> None:
    """Tell nobody."""


class Asked:
    """Asks over a configuration in a folder and a fleet of scripted workers."""

    def __init__(self, folder: Folder, fleet: FleetUnderTest, health: HealthChild) -> None:
        self.folder = folder
        self.fleet = fleet
        self.is_ending = False
        self.wait_for_health_worker: Callable[[], Awaitable[None]]
        place = folder.find()
        first = load_first(place)
        self.live = LiveConfig(place, first, first.accepted.install, ignore)
        self.orders = BreakerOrders(is_shared=False)
        self._asks = Asks(
            place, self.live, fleet.fleet, lambda: self.is_ending, self.orders, health
        )

    async def ask(self, what: str, **arguments: Any) -> tuple[bool, Any]:
        """Return whether it was refused, and the JSON of the answer."""
        answer = await self._asks.answer(Ask(7, what, json.dumps(arguments).encode(), "a test"))
        assert answer.id == 7
        for secret in (CLIENT_KEY, PROVIDER_KEY):
            assert secret.encode() not in answer.body
        return answer.is_error, json.loads(answer.body)

    async def raw(self, what: str, body: bytes) -> bool:
        """Return whether this body is refused."""
        return (await self._asks.answer(Ask(1, what, body))).is_error


@pytest.fixture
async def asked(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Asked]:
    """A configuration with a key, two workers or as many as asked, and reloads that are done."""
    folder = Folder(tmp_path)
    config = build_file("a", "b", port=8111)
    config["providers"][0]["api_key"] = PROVIDER_KEY
    folder.write(config)
    async with (
        running("good", count=getattr(request, "param", 2)) as fleet,
        keeping("good") as health,
    ):
        asked = Asked(folder, fleet, health.child)
        asked.wait_for_health_worker = partial(health.wait_for, lambda: len(health.news) > 0)
        task = asyncio.create_task(asked.live.run())
        yield asked
        task.cancel()
        await asyncio.wait([task])


async def test_a_reload_is_answered_with_what_it_came_to(asked: Asked) -> None:
    """Result, generation and changes come back, a refusal with its problems."""
    asked.folder.write(build_file("a", "b", "c", port=8111))
    is_refused, body = await asked.ask("reload")
    assert not is_refused
    assert (body["result"], body["generation"], body["cause"]) == ("applied", 2, "a test")
    assert "provider c added (1 model)" in body["changes"]
    asked.folder.write("providers: 1\n")
    _, body = await asked.ask("reload", cause="rollback to 1")
    assert body["result"] == "rejected"
    assert body["problems"]


async def test_the_configuration_is_shown_with_its_sources(asked: Asked) -> None:
    """Each value has its place, and secrets only a fingerprint."""
    _, body = await asked.ask("config")
    values = {value["path"]: value for value in body["values"]}
    assert values["port"]["value"] == 8111
    assert values["port"]["source"].startswith(f"{asked.folder.config}:")
    assert values["request_timeout"]["source"] == "default"
    assert values["providers.a.api_key"]["value"].startswith("*** (")
    assert body["config_path"] == str(asked.folder.config)


async def test_the_history_is_told_newest_first(asked: Asked) -> None:
    """Each entry has its number, time, cause and words; two of them can be compared."""
    asked.folder.write(build_file("a", "b", "c", port=8111))
    await asked.ask("reload")
    _, body = await asked.ask("history")
    assert [entry["generation"] for entry in body["entries"]] == [2, 1]
    assert [entry["is_current"] for entry in body["entries"]] == [True, False]
    _, diff = await asked.ask("diff", a=1, b="2")
    assert "provider c added (1 model)" in diff["changes"]
    is_refused, body = await asked.ask("diff", a=1, b=99)
    assert is_refused
    assert "no generation 99 in" in body["message"]


async def test_workers_are_restarted_one_by_one(asked: Asked) -> None:
    """The answer comes when all are replaced, and says how many."""
    await asked.fleet.fleet.wait_until_ready()
    is_refused, body = await asked.ask("restart_workers")
    assert not is_refused
    assert body["replaced"] == 2
    assert body["message"] == "2 of 2 workers were replaced"


async def test_the_state_of_the_service_is_told(asked: Asked) -> None:
    """How many workers there should be and are, and their processes."""
    await asked.fleet.fleet.wait_until_ready()
    _, body = await asked.ask("status")
    assert (body["workers"], body["ready_workers"], len(body["pids"])) == (2, 2, 2)
    assert body["config"]["generation"] == 1


async def test_an_order_for_breakers_goes_to_every_worker(asked: Asked) -> None:
    """The answer comes when all have been told, and a worker that starts later gets it too."""
    await asked.fleet.fleet.wait_until_ready()
    is_refused, body = await asked.ask("breaker", id="host:a", command="open")
    assert not is_refused
    assert (body["message"], body["workers"]) == ("open host:a: told to 2 workers", 2)
    assert body["timestamp"] > 0
    order = BreakerOrder("host:a", "open")
    await asked.fleet.wait_for(lambda: len(asked.fleet.asked) == 2)
    assert [ask.body for ask in asked.fleet.asked] == [b"open host:a"] * 2
    assert asked.orders.kept == (order,)


@pytest.mark.parametrize("asked", [1], indirect=True)
async def test_one_worker_is_spoken_of_as_one(asked: Asked) -> None:
    """Where there is a single one, no answer has a plural."""
    await asked.fleet.fleet.wait_until_ready()
    _, body = await asked.ask("breaker", id="host:a", command="open")
    assert body["message"] == "open host:a: told to 1 worker"
    _, body = await asked.ask("restart_workers")
    assert body["message"] == "1 of 1 worker was replaced"


@pytest.mark.parametrize(
    ("target", "command", "word"),
    [
        ("gone", "open", "'provider/model'"),
        ("a/unlisted", "reset", "'provider/model'"),
        ("a", "explode", "reset, open, close"),
        ("*", "open", "only 'reset'"),
    ],
)
async def test_an_order_that_cannot_be_is_refused(
    asked: Asked, target: str, command: str, word: str
) -> None:
    """An id that is none, a word that is none, and shutting everything at once."""
    is_refused, body = await asked.ask("breaker", id=target, command=command)
    assert is_refused
    assert word in body["message"]
    assert asked.orders.kept == ()


async def test_what_is_for_the_health_worker_is_answered_by_it(asked: Asked) -> None:
    """A check and a search go to it as they were asked, and its answers and refusals come back."""
    await asked.wait_for_health_worker()
    for what in ("check", "discover"):
        is_refused, body = await asked.ask(what, names=["a"])
        assert not is_refused
        assert body["asked"] == {"names": ["a"]}
    assert await asked.ask("clear") == (True, {"message": "not today"})


async def test_a_health_worker_that_is_away_is_told_by_its_code(asked: Asked) -> None:
    """Whoever asks can tell that nobody is there from what cannot be done."""
    is_refused, body = await asked.ask("check")
    assert is_refused
    assert body["code"] == "health_worker_unavailable"
    assert "not there yet" in body["message"]
    assert await asked.raw("check", b'{"names":[]}')


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_what_cannot_be_read_is_refused(asked: Asked, body: bytes) -> None:
    """Arguments that are no JSON object are a refusal, and no failure."""
    assert await asked.raw("config", body)


async def test_what_is_not_known_is_refused(asked: Asked) -> None:
    """A question of a later version is refused by its name."""
    is_refused, body = await asked.ask("make_coffee")
    assert is_refused
    assert "make_coffee" in body["message"]
