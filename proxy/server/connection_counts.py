"""
How many connections there are, and how many of each address: what may be accepted.

Pure counting: `connection.py` asks it for each new connection and resets those it refuses.
"""

import sys
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from proxy.domain.settings import Settings

_V6_SHIFT = 64
"""One household or machine has a whole /64 of IPv6: its addresses count as one."""

Address = IPv4Address | IPv6Address


class ConnectionCounts:
    """
    The connections of this process that were accepted and are open.

    Whatever is set, there are never more than `most`: what the process has room for.
    """

    def __init__(self, most: int = sys.maxsize) -> None:
        self.total = 0
        self._most = most
        self._by_origin: dict[int, int] = {}

    def admit(self, peer: str, settings: Settings) -> "Admission | None":
        """
        Count a new connection from `peer`, or return None: there are too many.

        Loopback and the networks of `trusted_proxies` are only counted in the total.
        """
        if self.total >= min(settings.max_client_connections, self._most):
            return None
        origin = _find_origin(peer, settings.trusted_proxies)
        if origin is not None:
            count = self._by_origin.get(origin, 0)
            if count >= settings.max_connections_per_address:
                return None
            self._by_origin[origin] = count + 1
        self.total += 1
        return Admission(self, origin)

    def _release(self, origin: int | None) -> None:
        self.total -= 1
        if origin is None:
            return
        count = self._by_origin[origin] - 1
        if count:
            self._by_origin[origin] = count
        else:
            del self._by_origin[origin]


class Admission:
    """One counted connection."""

    __slots__ = ("_counts", "_origin")

    def __init__(self, counts: ConnectionCounts, origin: int | None) -> None:
        self._counts: ConnectionCounts | None = counts
        self._origin = origin

    def release(self) -> None:
        """Count it no longer; a second time does nothing."""
        counts, self._counts = self._counts, None
        if counts is not None:
            counts._release(self._origin)


def parse_peer(peer: str) -> Address | None:
    """Return an address of a socket, an IPv4 one also where it came as IPv6; None for others."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=1024)
def _find_origin(peer: str, trusted: tuple[str, ...]) -> int | None:
    """Return the number that an address is counted under, None if it is not."""
    address = parse_peer(peer)
    if address is None or address.is_loopback:
        return None
    if any(address in ip_network(network, strict=False) for network in trusted):
        return None
    if isinstance(address, IPv6Address):
        # Above every IPv4 number, so that the two never meet.
        return (int(address) >> _V6_SHIFT) + (1 << 32)
    return int(address)
