"""Transports are opened once, outlive snapshots, and leave with the last who needs them."""

import gc
import weakref
from collections.abc import Mapping

import msgspec
import pytest

from proxy.domain.catalog import Provider
from proxy.domain.exchange import OutboundRequest
from proxy.domain.secret import Secret
from proxy.domain.settings import PoolLimits
from proxy.upstream.base import BodySink, OpenedResponse, Transport
from proxy.upstream.transport_set import TransportSet
from tests.fakes.proxy_server import build_provider, build_snapshot

UP = build_provider("http://a.test/v1")


class Noted:
    """A Transport that opens nothing, and notes what it is told."""

    has_room = True

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.is_retired = False
        self.is_closed = False

    async def open(self, request: OutboundRequest, sink: BodySink) -> OpenedResponse:
        """Never called here."""
        raise NotImplementedError

    def retire(self) -> None:
        """Note it."""
        self.is_retired = True

    async def close(self) -> None:
        """Note it."""
        self.is_closed = True


def at(transports: Mapping[str, Transport], name: str = "up") -> Noted:
    """Return a transport as what it is here."""
    transport = transports[name]
    assert isinstance(transport, Noted)
    return transport


def test_nothing_is_opened_before_it_is_asked_for() -> None:
    """A provider's transport is made at the first lookup, and the next ones find it."""
    opened: list[Noted] = []

    def open_one(provider: Provider) -> Transport:
        opened.append(Noted(provider))
        return opened[-1]

    transports = TransportSet(open_one).for_snapshot(build_snapshot(UP))
    assert opened == []
    assert transports["up"] is transports["up"] is opened[0]
    with pytest.raises(KeyError):
        transports["nobody"]


@pytest.mark.parametrize(
    "change",
    [
        {"api_key": Secret("sk-rotated-1")},
        {"models": ("m", "n")},
        {"priority": 9},
        {"headers": {"a": "b"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_connections_do_not_depend_on_keeps_them(change: dict[str, object]) -> None:
    """A rotated key, other models, another order: the open connections go on being used."""
    transports = TransportSet(Noted)
    before = transports.for_snapshot(build_snapshot(UP))
    opened = at(before)
    after = transports.for_snapshot(build_snapshot(msgspec.structs.replace(UP, **change)))
    assert after["up"] is opened
    assert not opened.is_retired


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "http://b.test/v1"},
        {"type": "groq"},
        {"pool": PoolLimits(max_connections=1)},
        {"private_networks": ("10.0.0.0/8",)},
        {"transport": "another"},
        {"ca_file": "/etc/ssl/own.pem"},
        {"proxy": Secret("http://proxy.test:3128")},
        {"enabled": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_connections_depend_on_retires_them(change: dict[str, object]) -> None:
    """Requests from now on get a transport of their own; who began before keeps the old one."""
    transports = TransportSet(Noted)
    before = transports.for_snapshot(build_snapshot(UP))
    opened = at(before)
    after = transports.for_snapshot(build_snapshot(msgspec.structs.replace(UP, **change)))
    assert before["up"] is opened
    assert opened.is_retired
    assert at(after) is not opened
    assert not at(after).is_retired


def test_a_removed_provider_is_retired_and_forgotten() -> None:
    """Its transport lives exactly as long as somebody goes by the mapping that has it."""
    transports = TransportSet(Noted)
    before = transports.for_snapshot(build_snapshot(UP))
    opened = weakref.ref(at(before))
    transports.for_snapshot(build_snapshot())
    assert before["up"].is_retired  # type: ignore[attr-defined]
    del before
    gc.collect()
    assert opened() is None


def test_a_late_request_of_an_old_snapshot_gets_a_retired_transport() -> None:
    """What must still be opened for a provider that has left is not kept beyond that."""
    transports = TransportSet(Noted)
    before = transports.for_snapshot(build_snapshot(UP))
    after = transports.for_snapshot(build_snapshot(build_provider("http://b.test/v1")))
    assert at(before).is_retired
    assert at(before).provider.base_url == "http://a.test/v1"
    assert at(after).provider.base_url == "http://b.test/v1"
    assert not at(after).is_retired


def test_a_late_request_of_an_old_snapshot_shares_what_has_not_changed() -> None:
    """It opens no second transport to a provider that is still the same."""
    transports = TransportSet(Noted)
    before = transports.for_snapshot(build_snapshot(UP))
    after = transports.for_snapshot(build_snapshot(UP))
    assert after["up"] is before["up"]


async def test_closing_reaches_all() -> None:
    """At the end those in use and those that have retired are closed."""
    transports = TransportSet(Noted)
    before = transports.for_snapshot(build_snapshot(UP))
    old = at(before)
    new = at(transports.for_snapshot(build_snapshot(build_provider("http://b.test/v1"))))
    await transports.close()
    assert old.is_closed
    assert new.is_closed
