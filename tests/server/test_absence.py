"""A client that left while it was not read from is found."""

import asyncio

import pytest

from proxy.server import absence
from proxy.server.absence import AbsenceWatch

pytestmark = pytest.mark.usefixtures("no_leaks")


class Wire(asyncio.Transport):
    """A transport that notes its end."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = asyncio.Event()

    def abort(self) -> None:
        self.aborted.set()


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What each look finds, the last one again and again; looks are frequent."""
    found = [False, False, True]
    monkeypatch.setattr(absence, "ABSENCE_S", 0.001)
    monkeypatch.setattr(
        absence, "is_peer_gone", lambda transport: found.pop(0) if len(found) > 1 else found[0]
    )
    return found


async def test_a_client_that_has_left_is_ended(looks: list[bool]) -> None:
    """It is looked for until it is gone."""
    wire = Wire()
    watch = AbsenceWatch(asyncio.get_running_loop(), wire)
    watch.begin()
    async with asyncio.timeout(10):
        await wire.aborted.wait()
    assert looks == [True]


@pytest.mark.parametrize("end", ["pause", "stop"])
async def test_nobody_is_looked_for_who_is_read_from(end: str, looks: list[bool]) -> None:
    """Reading tells by itself who leaves; and a connection that is over has nobody."""
    loop = asyncio.get_running_loop()
    wire = Wire()
    watch = AbsenceWatch(loop, wire)
    watch.begin()
    assert watch.is_on
    getattr(watch, end)()
    assert not watch.is_on
    passed = asyncio.Event()
    loop.call_later(0.01, passed.set)
    await passed.wait()
    assert looks == [False, False, True]
    assert not wire.aborted.is_set()
