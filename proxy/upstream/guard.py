"""
Which addresses a provider may be reached at: public ones, and what its own base_url names.

Pure: nothing is resolved or dialled here. Whoever opens a socket to the outside asks
`Guard.check` with the address that it is about to dial, behind every resolver and for every
dial: a name's answer may change from one dial to the next. `config/` asks `find_url_problem`.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from proxy.domain.errors import UpstreamAddressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOCALHOST = "localhost"
# Ends of names that only private networks know; so are names without a dot.
_PRIVATE_ENDS = (".local", ".internal", ".lan", ".home.arpa", ".svc")
# A name whose last part is a number is an address in disguise: decimal, octal, hex, short.
_NUMBER = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)\Z")


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_NEVER = _networks(
    "0.0.0.0/8",  # "this machine", whatever listens on it
    "169.254.0.0/16",  # link-local: the metadata services of most clouds
    "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",  # metadata of some others
    "224.0.0.0/4", "255.255.255.255/32",  # multicast, broadcast
    "::/128", "fe80::/10", "ff00::/8",
    "fd00:ec2::/32", "fd20:ce::254/128", "fd00:42::42/128",  # metadata over IPv6
)  # fmt: skip
_NOT_PUBLIC = _networks(
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
    "203.0.113.0/24", "240.0.0.0/4",
    "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)  # fmt: skip
# Of IPv6 nothing outside of this block is public: not ::1, fc00::/7, fec0::/10, 100::/64,
# 5f00::/16, nor what may be handed out one day.
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_LOOPBACK = _networks("127.0.0.0/8", "::1/128")

_V4_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_V4_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_TEREDO = ipaddress.IPv6Network("2001::/32")


class Guard:
    """What one provider's connections may lead to; made from its configuration only."""

    __slots__ = ("_allowed",)

    def __init__(self, base_url: str, private_networks: Iterable[str] = ()) -> None:
        """
        Take what is allowed besides public addresses from a provider's configuration.

        Args:
            base_url: a literal address in it is allowed; `localhost` allows loopback.
            private_networks: networks in CIDR notation that its host name may lead to.
        """
        host = _read_host(base_url)
        literal = parse_literal(host)
        named: list[Network] = [ipaddress.ip_network(text) for text in private_networks]
        if literal is not None:
            named += [ipaddress.ip_network(face) for face in _list_faces(literal)]
        elif is_localhost(host):
            named += _LOOPBACK
        self._allowed = tuple(named)

    def check(self, address: Sequence[object]) -> None:
        """
        Let a socket address pass, resolved as it is about to be dialled.

        Args:
            address: as `socket.connect` takes it; its first item is an address, not a name.

        Raises:
            UpstreamAddressRefused: it is not public and was not named, or is never allowed.
        """
        literal = parse_literal(str(address[0]) if address else "")
        if literal is None:
            raise UpstreamAddressRefused
        for face in _list_faces(literal):
            if _is_in(face, _NEVER):
                raise UpstreamAddressRefused(detail=f"{face} is never allowed")
            if not _is_public(face) and not _is_in(face, self._allowed):
                detail = f"{face} is not public, and not in the provider's private_networks"
                raise UpstreamAddressRefused(detail=detail)


def find_url_problem(base_url: str) -> tuple[str, str] | None:
    """Return what is wrong with an address that no provider can have, and how to mend it."""
    host = _read_host(base_url)
    literal = parse_literal(host)
    if literal is None:
        if is_number(host):
            what = "this host is a number, but not an address in its usual form"
            return what, "write four decimal numbers, such as 127.0.0.1"
        return None
    if any(_is_in(face, _NEVER) for face in _list_faces(literal)):
        what = (
            "no provider is ever reached at this address: it is link-local, multicast, "
            "unspecified or a cloud's metadata service"
        )
        return what, "write the provider's own address; this machine is 127.0.0.1"
    return None


def is_private_name(base_url: str) -> bool:
    """Tell whether a host's name looks like one that leads to a private address."""
    host = _read_host(base_url).removesuffix(".")
    if parse_literal(host) is not None or is_number(host) or is_localhost(host):
        return False
    return "." not in host or host.endswith(_PRIVATE_ENDS)


def is_loopback(base_url: str) -> bool:
    """Tell whether a host is this machine by its name or its address."""
    host = _read_host(base_url)
    literal = parse_literal(host)
    if literal is None:
        return is_localhost(host)
    return any(_is_in(face, _LOOPBACK) for face in _list_faces(literal))


def is_never_allowed(network: str) -> bool:
    """Tell whether no provider is reached at any address of a network in CIDR notation."""
    asked = ipaddress.ip_network(network)
    first, last = asked.network_address, asked.broadcast_address
    return any(first in never and last in never for never in _NEVER)


def parse_literal(host: str) -> Address | None:
    """Return the address that a host is, without its scope, or None if it is a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def is_number(host: str) -> bool:
    """Tell whether a host that is no address in its usual form means an address all the same."""
    return _NUMBER.match(host.rstrip(".").rpartition(".")[2]) is not None


def is_localhost(host: str) -> bool:
    """Tell whether a name means this machine, whatever a resolver says about it."""
    name = host.lower().removesuffix(".")
    return name == _LOCALHOST or name.endswith("." + _LOCALHOST)


def _read_host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _list_faces(address: Address) -> list[Address]:
    """Return every address that a packet to this one may end at: all of them must be allowed."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    number = int(address)
    low = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address in _V4_MAPPED or address in _NAT64:
        # These two are nothing but another way to write the address inside.
        return [low]
    faces: list[Address] = [ipaddress.IPv6Address(number)]
    if address in _V4_COMPATIBLE:
        if number > 1:
            faces.append(low)
    elif address in _V4_TRANSLATED or address in _NAT64_LOCAL:
        faces.append(low)
    elif address in _SIX_TO_FOUR:
        faces.append(ipaddress.IPv4Address((number >> 80) & 0xFFFFFFFF))
    elif address in _TEREDO:
        faces.append(ipaddress.IPv4Address(~number & 0xFFFFFFFF))
    return faces


def _is_public(face: Address) -> bool:
    if isinstance(face, ipaddress.IPv6Address) and face not in _PUBLIC_V6:
        return False
    return not _is_in(face, _NOT_PUBLIC)


def _is_in(face: Address, networks: Sequence[Network]) -> bool:
    return any(face in network for network in networks)
