"""The supervisor's health worker: fed, asked, replaced, and never in the way."""

import asyncio
import signal
import time
from types import SimpleNamespace

import msgspec
import pytest

from proxy.control.messages import Happened
from proxy.domain.event import Event
from proxy.domain.service_errors import HealthWorkerUnavailable
from proxy.domain.settings import InstallSettings
from proxy.supervisor.health_child import SILENT_FOR_S, HealthChild, explain_absence
from proxy.supervisor.worker_process import WorkerProcess
from tests.supervisor.children import ChildUnderTest, keeping

pytestmark = pytest.mark.usefixtures("no_leaks")


async def ask(under_test: ChildUnderTest, what: str = "check") -> dict[str, object]:
    """Return what a health worker says that it was asked and told."""
    answer = await under_test.child.ask(what, b'{"names":["a"]}', "a test")
    assert not answer.is_error
    body: dict[str, object] = msgspec.json.decode(answer.body)
    return body


async def test_it_is_fed_and_heard() -> None:
    """It begins with what is watched and published, gets every change, and its news are heard."""
    async with keeping("good") as under_test:
        await under_test.wait_for(lambda: len(under_test.news) == 1)
        under_test.generation = 2
        under_test.child.publish()
        under_test.child.pass_on(Happened((Event("breaker", 1.0, b"{}"),)))
        await under_test.wait_for(lambda: len(under_test.news) == 2)
        body = await ask(under_test)
        assert body["asked"] == {"names": ["a"]}
        told = ["watch beside", "publish 1", "watch beside", "publish 2", "event breaker"]
        assert body["told"] == told


async def test_a_refusal_comes_back_as_one() -> None:
    """What the health worker refuses is an answer that says so."""
    async with keeping("good") as under_test:
        await under_test.wait_for(lambda: len(under_test.news) == 1)
        assert (await under_test.child.ask("clear", b"{}", "a test")).is_error


async def test_one_that_is_killed_is_replaced_at_once() -> None:
    """Another process takes its place, begins with the newest configuration, and is asked."""
    async with keeping("good") as under_test:
        await under_test.wait_for(lambda: len(under_test.news) == 1)
        under_test.generation = 7
        under_test.spawned[0].process.send_signal(signal.SIGKILL)
        await under_test.wait_for(lambda: len(under_test.news) == 2)
        assert under_test.child.pid == under_test.spawned[1].process.pid
        assert (await ask(under_test))["told"] == ["watch beside", "publish 7"]


async def test_one_that_dies_young_is_tried_again() -> None:
    """Health workers that end as soon as they have begun are followed by others."""
    async with keeping("young", "young", "good") as under_test:
        await under_test.wait_for(lambda: len(under_test.news) == 1)
        assert len(under_test.spawned) == 3


async def test_one_is_not_killed_for_the_time_that_the_supervisor_stood_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a supervisor was stopped for a while its health worker gets time to be heard."""
    monkeypatch.setattr("proxy.supervisor.health_child.PING_EACH_S", 0.01)
    async with keeping("good") as under_test:
        await under_test.wait_for(lambda: len(under_test.news) == 1)
        passed_s = 0.0
        real_clock_s = time.monotonic
        looked = asyncio.Event()

        def ping(child: WorkerProcess) -> None:
            looked.set()

        def read_clock_s() -> float:
            nonlocal passed_s
            # So long it stood still, between one look at the clock and the next.
            passed_s += SILENT_FOR_S * 2
            return real_clock_s() + passed_s

        monkeypatch.setattr(WorkerProcess, "ping", ping)
        monkeypatch.setattr(
            "proxy.supervisor.health_child.time", SimpleNamespace(monotonic=read_clock_s)
        )
        await asyncio.wait_for(looked.wait(), 20)
        assert len(under_test.spawned) == 1
        assert (await ask(under_test))["asked"] == {"names": ["a"]}


async def test_who_asks_one_that_dies_is_told() -> None:
    """The answer that will not come any more is an error at once, and not after ten seconds."""
    async with keeping("dies", "good") as under_test:
        await under_test.wait_for(lambda: len(under_test.news) == 1)
        with pytest.raises(HealthWorkerUnavailable, match="ended meanwhile"):
            await under_test.child.ask("check", b"{}", "a test")
        await under_test.wait_for(lambda: len(under_test.news) == 2)
        assert (await ask(under_test))["asked"] == {"names": ["a"]}


async def test_who_asks_one_that_is_mute_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come in time is an error that says so."""
    monkeypatch.setattr("proxy.supervisor.health_child.ANSWER_WITHIN_S", 0.05)
    async with keeping("mute") as under_test:
        await under_test.wait_for(lambda: len(under_test.news) == 1)
        with pytest.raises(HealthWorkerUnavailable, match="has not answered"):
            await under_test.child.ask("check", b"{}", "a test")


async def test_one_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing does not wait for a health worker that stays."""
    monkeypatch.setattr("proxy.supervisor.health_child.END_WITHIN_S", 0.05)
    async with keeping("stays") as under_test:
        await under_test.wait_for(lambda: len(under_test.news) == 1)
    assert under_test.spawned[0].process.returncode == -signal.SIGKILL


async def test_one_that_ends_by_itself_at_the_close_is_not_replaced() -> None:
    """After the close there is one process less, and none more."""
    async with keeping("good") as under_test:
        await under_test.wait_for(lambda: len(under_test.news) == 1)
    assert [spawned.process.returncode for spawned in under_test.spawned] == [0]
    assert under_test.child.pid is None


@pytest.mark.parametrize(
    ("install", "words"),
    [
        (InstallSettings(health_worker=False), "switched off"),
        (InstallSettings(redis_url="redis://127.0.0.1"), "llm-health-worker"),
    ],
)
async def test_where_there_is_to_be_none_it_is_said_why(
    install: InstallSettings, words: str
) -> None:
    """Switched off, or with Redis, no process is started, and who asks is told how to have one."""
    async with keeping("good", install=install) as under_test:
        under_test.child.publish()
        with pytest.raises(HealthWorkerUnavailable, match=words):
            await under_test.child.ask("check", b"{}", "a test")
    assert under_test.spawned == []


def test_one_is_started_unless_something_speaks_against_it() -> None:
    """By the defaults the supervisor starts a health worker."""
    assert explain_absence(InstallSettings()) is None


async def test_a_machine_that_can_start_none_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no process can be started the supervisor goes on, and tries again later."""
    monkeypatch.setattr("proxy.supervisor.health_child.LONGEST_WAIT_S", 0.0)
    tried = asyncio.Event()
    times = 0

    def spawn() -> None:
        nonlocal times
        times += 1
        if times == 3:
            tried.set()
        raise OSError(11, "Resource temporarily unavailable")

    child = HealthChild(
        install=InstallSettings(),
        spawn=spawn,  # type: ignore[arg-type]
        give_orders=lambda: pytest.fail("nobody is there to be fed"),
        on_news=lambda news: None,
    )
    child.start()
    await asyncio.wait_for(tried.wait(), 20)
    await child.close()
