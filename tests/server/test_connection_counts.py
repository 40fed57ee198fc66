"""How many connections may be open, in all and from one address."""

import pytest

from proxy.domain.settings import Settings
from proxy.server.connection_counts import ConnectionCounts, parse_peer

TWO = Settings(max_connections_per_address=2, trusted_proxies=("10.1.0.0/16", "2001:db8:9::/48"))


def count_admitted(peers: list[str], settings: Settings = TWO) -> int:
    """Return how many of these are admitted while all stay open."""
    counts = ConnectionCounts()
    return sum(counts.admit(peer, settings) is not None for peer in peers)


@pytest.mark.parametrize(
    "peers",
    [
        ["203.0.113.1"] * 3,
        ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"],
        ["::ffff:203.0.113.1", "203.0.113.1", "203.0.113.1"],
    ],
)
def test_one_address_has_its_share(peers: list[str]) -> None:
    """A third connection is refused; a /64 of IPv6 is one address, mapped IPv4 is IPv4."""
    assert count_admitted(peers) == 2


@pytest.mark.parametrize(
    "peers",
    [
        ["127.0.0.1"] * 3,
        ["::1"] * 3,
        ["10.1.2.3"] * 3,
        ["2001:db8:9:1::1"] * 3,
        [""] * 3,
        ["203.0.113.1", "203.0.113.2", "203.0.113.3"],
        ["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"],
    ],
)
def test_others_are_not_counted_together(peers: list[str]) -> None:
    """Loopback, trusted proxies and sockets without an address are not counted by address."""
    assert count_admitted(peers) == 3


def test_all_count_in_the_total() -> None:
    """The cap of the process holds for loopback too."""
    assert count_admitted(["127.0.0.1"] * 3, Settings(max_client_connections=2)) == 2


def test_what_there_is_no_room_for_is_refused() -> None:
    """A cap that is set higher than the process can hold is not the one that holds."""
    counts = ConnectionCounts(most=1)
    assert counts.admit("127.0.0.1", TWO) is not None
    assert counts.admit("127.0.0.1", TWO) is None


def test_a_place_is_given_back_once() -> None:
    """What closes makes room for one other, however often it is released."""
    counts = ConnectionCounts()
    first = counts.admit("203.0.113.1", TWO)
    assert first is not None
    assert counts.admit("203.0.113.1", TWO) is not None
    first.release()
    first.release()
    assert counts.total == 1
    assert counts.admit("203.0.113.1", TWO) is not None
    assert counts.admit("203.0.113.1", TWO) is None


def test_no_address_is_no_address() -> None:
    """Zones are left out; what is no address is None."""
    assert str(parse_peer("fe80::1%eth0")) == "fe80::1"
    assert parse_peer("somewhere") is None
