"""Ways to write addresses that nobody may be led to, and names that lead there."""

import ipaddress
from collections.abc import Iterator

LOOPBACK = ("127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254")
METADATA = ("169.254.169.254", "169.254.170.2", "169.254.0.1", "100.100.100.200", "192.0.0.192")
PRIVATE = (
    "10.0.0.1", "10.255.255.254", "172.16.0.1", "172.31.255.254", "192.168.0.1",
    "192.168.255.254", "100.64.0.1", "100.127.255.254",
)  # fmt: skip
SPECIAL = (
    "0.0.0.0", "0.1.2.3", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1",
    "198.19.255.254", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
)  # fmt: skip
V4 = (*LOOPBACK, *METADATA, *PRIVATE, *SPECIAL)
V6 = (
    "::", "::1", "::2", "100::1", "100:0:0:1::1", "2001::1", "2001:2::1", "2001:10::1",
    "2001:1ff::1", "2001:db8::1", "2002::1", "3fff::1", "3fff:fff::1", "4000::1", "5f00::1",
    "64:ff9b:1::1", "64:ff9b:2::1", "fc00::1", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
    "fdff::1", "fe80::1", "febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1",
    "fe80::1%eth0", "fe80::1%1", "fc00::1%eth0", "::1%lo", "::ffff:127.0.0.1%1",
)  # fmt: skip
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1",
    "126.255.255.255", "128.0.0.1", "169.253.255.255", "169.255.0.1", "172.15.255.255",
    "172.32.0.1", "191.255.255.255", "192.0.1.1", "192.167.255.255", "192.169.0.1",
    "198.17.255.255", "198.20.0.1", "223.255.255.255", "2606:4700::1", "2a00:1450::1",
    "2001:200::1", "2001:4860::8888", "2003::1", "2620:1ec::1", "3ffe::1",
    "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
)  # fmt: skip


def embed(address: str) -> Iterator[str]:
    """Yield the IPv6 addresses that a packet to this IPv4 address may be hidden in."""
    number = int(ipaddress.IPv4Address(address))
    for prefix in ("::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::", "::"):
        yield str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | number))
    yield f"::ffff:{address}"
    yield str(ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1))
    teredo = 0x2001 << 112 | int(ipaddress.IPv4Address("8.8.8.8")) << 64
    yield str(ipaddress.IPv6Address(teredo | ~number & 0xFFFFFFFF))


def disguise(address: str) -> Iterator[str]:
    """Yield the hosts of URLs that some program or other reads as this IPv4 address."""
    number = int(ipaddress.IPv4Address(address))
    first, second, third, fourth = address.split(".")
    yield str(number)
    yield hex(number)
    yield f"0{number:o}"
    yield f"0x{number:08X}"
    yield ".".join(hex(int(part)) for part in address.split("."))
    yield ".".join(f"0{int(part):03o}" for part in address.split("."))
    yield f"{first}.{number & 0xFFFFFF}"
    yield f"{first}.{second}.{number & 0xFFFF}"
    yield f"{first}.{second}.{third}.{hex(int(fourth))}"
    yield f"{address}."
    yield address.replace(".", "\u3002")
    yield address.replace(".", "\uff0e")
    yield "".join(chr(0xFF10 + int(c)) if c.isdigit() else c for c in address)
    yield "".join(chr(0x2460 + int(c) - 1) if c in "123456789" else c for c in address)


ADDRESSES = tuple(dict.fromkeys((*V4, *V6, *(hidden for one in V4 for hidden in embed(one)))))
"""Addresses as a resolver may give them; none of them may be dialled."""
HOSTS = tuple(dict.fromkeys(host for one in V4 for host in disguise(one)))
"""Hosts as a URL may hold them; none of them may be dialled."""
