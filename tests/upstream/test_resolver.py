"""Names are looked up once at a time, under a clock, and what was good is remembered."""

import asyncio
import socket
import threading
from collections.abc import Callable

import pytest

from proxy.upstream import resolver
from proxy.upstream.resolver import (
    LAST_GOOD_S,
    LOOKUP_S,
    REUSE_S,
    NameServersSilent,
    NobodyAsked,
    ResolutionFailed,
    Resolver,
    look_up,
)

SILENCE = socket.gaierror(socket.EAI_AGAIN, "the name servers do not say")
DENIAL = socket.gaierror(socket.EAI_NONAME, "there is no such name")


class Names:
    """A lookup whose answers are a test's choice, a clock that is too, and a resolver on both."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: list[str] | OSError = ["192.0.2.1"]
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.now_s = 1000.0
        self.resolver = Resolver(self._look_up, lambda: self.now_s)

    def _look_up(self, host: str) -> list[str]:
        self.asked.append(host)
        self.may_answer.wait()
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer

    async def find(self, host: str = "name.test") -> list[str]:
        """Return the addresses of a host."""
        return [str(info[4][0]) for info in await self.resolver.resolve(host, 443)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    async with asyncio.timeout(5.0):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_addresses_are_given_as_sockets_take_them() -> None:
    """IPv4 and IPv6 come in the resolver's order, with family, port and the form of each."""
    names = Names()
    names.answer = ["2001:db8::1", "192.0.2.1"]
    assert await names.resolver.resolve("name.test", 443) == [
        (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("2001:db8::1", 443, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("192.0.2.1", 443)),
    ]


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("8.8.8.8", ["8.8.8.8"]),
        ("::1", ["::1"]),
        ("fe80::1%eth0", ["fe80::1%eth0"]),
        ("localhost", ["127.0.0.1", "::1"]),
        ("LocalHost.", ["127.0.0.1", "::1"]),
        ("llm.localhost", ["127.0.0.1", "::1"]),
    ],
)
async def test_addresses_and_localhost_ask_nobody(host: str, addresses: list[str]) -> None:
    """What is an address already, or this machine, needs no thread and no name server."""
    names = Names()
    assert await names.find(host) == addresses
    assert names.asked == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1", "0177.0.0.1", "127.0.0.1."])
async def test_numbers_are_not_asked_for(host: str) -> None:
    """A number that is no address in its usual form is given to nobody who might read it so."""
    names = Names()
    with pytest.raises(ResolutionFailed):
        await names.find(host)
    assert names.asked == []


async def test_an_answer_is_used_again_for_a_while() -> None:
    """Within REUSE_S nothing is asked twice, whatever the case of the name; behind it, it is."""
    names = Names()
    for host in ("name.test", "NAME.test", "name.test"):
        assert await names.find(host) == ["192.0.2.1"]
    assert names.asked == ["name.test"]
    names.now_s += REUSE_S
    names.answer = ["192.0.2.2"]
    assert await names.find() == ["192.0.2.2"]
    assert len(names.asked) == 2


async def test_one_question_serves_all_who_ask() -> None:
    """Dials that need one name at the same time share a lookup, also if one of them leaves."""
    names = Names()
    names.may_answer.clear()
    tasks = [asyncio.ensure_future(names.find()) for _ in range(10)]
    await until(lambda: names.asked == ["name.test"])
    tasks.pop(0).cancel()
    names.may_answer.set()
    assert await asyncio.gather(*tasks) == [["192.0.2.1"]] * 9
    assert names.asked == ["name.test"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (SILENCE, NameServersSilent),
        (OSError("no"), NameServersSilent),
        (DENIAL, ResolutionFailed),
        ([], ResolutionFailed),
    ],
)
async def test_no_answer_is_a_failure(
    answer: list[str] | OSError, kind: type[ResolutionFailed]
) -> None:
    """Silent servers and any other error are told from a name that has no address."""
    names = Names()
    names.answer = answer
    with pytest.raises(ResolutionFailed) as caught:
        await names.find()
    assert caught.type is kind
    names.answer = ["192.0.2.1"]
    assert await names.find() == ["192.0.2.1"]


async def test_silence_leaves_the_last_good_answer_for_ten_minutes() -> None:
    """While name servers fail the last good answer serves until LAST_GOOD_S have passed."""
    names = Names()
    await names.find()
    names.answer = SILENCE
    names.now_s += LAST_GOOD_S - 1
    assert await names.find() == ["192.0.2.1"]
    names.now_s += 1
    with pytest.raises(ResolutionFailed):
        await names.find()


async def test_a_denial_ends_the_last_good_answer() -> None:
    """A name of which the servers say that it is not there any more is forgotten."""
    names = Names()
    await names.find()
    names.now_s += REUSE_S
    for answer in (DENIAL, SILENCE):
        names.answer = answer
        with pytest.raises(ResolutionFailed):
            await names.find()


async def test_a_slow_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind LOOKUP_S a dial fails, later ones at once; an answer that comes late still counts."""
    monkeypatch.setattr(resolver, "LOOKUP_S", 0.05)
    names = Names()
    names.may_answer.clear()
    async with asyncio.timeout(5.0):
        with pytest.raises(NameServersSilent):
            await names.find()
    names.now_s += 0.05
    with pytest.raises(NameServersSilent):
        await names.find()
    assert names.asked == ["name.test"]
    names.may_answer.set()
    await until(lambda: not names.resolver._questions)
    assert await names.find() == ["192.0.2.1"]
    assert names.asked == ["name.test"]


async def test_a_slow_answer_leaves_the_last_good_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a lookup takes too long, the last good answer serves."""
    names = Names()
    await names.find()
    monkeypatch.setattr(resolver, "LOOKUP_S", 0.05)
    names.now_s += REUSE_S
    names.may_answer.clear()
    async with asyncio.timeout(5.0):
        assert await names.find() == ["192.0.2.1"]
    names.may_answer.set()


async def test_names_that_hang_are_few_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than MAX_LOOKUPS threads wait; a name that hangs is asked for again one day."""
    monkeypatch.setattr(resolver, "LOOKUP_S", 0.01)
    monkeypatch.setattr(resolver, "MAX_LOOKUPS", 2)
    names = Names()
    names.may_answer.clear()
    for host in ("a.test", "b.test", "c.test"):
        with pytest.raises(ResolutionFailed):
            await names.find(host)
    assert sorted(names.asked) == ["a.test", "b.test"]
    names.may_answer.set()
    await until(lambda: not names.resolver._questions)
    names.may_answer.clear()
    for _ in range(2):
        with pytest.raises(ResolutionFailed):
            await names.find("d.test")
        names.now_s += 60.0
    assert names.asked[2:] == ["d.test", "d.test"]
    names.may_answer.set()
    await until(lambda: not names.resolver._questions)


async def test_a_thread_that_cannot_start_costs_one_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread a lookup fails at once, and the next one is asked anew."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(resolver, "MAX_LOOKUPS", 1)
    names = Names()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(NobodyAsked):
                await names.find()
    assert await names.find() == ["192.0.2.1"]


def test_the_system_is_asked_for_names() -> None:
    """The default lookup gives the system's addresses of a name, each once."""
    found = look_up("localhost")
    assert set(found) <= {"127.0.0.1", "::1"}
    assert len(found) == len(set(found)) > 0


@pytest.mark.parametrize("host", ["a..test", "a" * 70 + ".test"])
def test_names_that_cannot_be_asked_for_fail_as_any_other(host: str) -> None:
    """A name that DNS cannot hold is an OSError, not a fault of ours."""
    with pytest.raises(OSError, match=r".*"):
        look_up(host)


def test_the_clocks_are_those_of_the_catalogue() -> None:
    """A lookup may take 2 s, and an answer may serve for 10 minutes."""
    assert (LOOKUP_S, LAST_GOOD_S) == (2.0, 600.0)
