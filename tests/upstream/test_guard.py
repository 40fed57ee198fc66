"""Which addresses pass, and for whom; the corpus against real sockets is in contract_guard.py."""

import ast

import pytest

from proxy.domain.errors import UpstreamAddressRefused
from proxy.upstream.guard import Guard, find_url_problem, is_loopback
from tests.promises.tree import PACKAGES, listed, python_files, shown
from tests.upstream.guard_vectors import ADDRESSES, METADATA, PRIVATE, PUBLIC, V6, embed

GUARDED = ("proxy/upstream/aiohttp_pool.py", "proxy/upstream/dialer.py")
"""The files whose dials pass the guard."""
DIALLING = {
    *("ClientSession", "TCPConnector", "HTTPConnection", "HTTPSConnection", "urlopen"),
    *("create_connection", "open_connection", "start_connection", "sock_connect", "connect_ex"),
    *("create_datagram_endpoint", "_wrap_create_connection"),
}
DIALLERS = {"urllib.request", "http.client", "aiohappyeyeballs", "httpx", "requests", "urllib3"}
OUTSIDE = Guard("https://api.provider.test/v1")
EVERYTHING = ("0.0.0.0/0", "::/0")


def passes(guard: Guard, address: str) -> bool:
    """Tell whether a guard lets an address pass, at any port."""
    try:
        guard.check((address, 443) if ":" not in address else (address, 443, 0, 0))
    except UpstreamAddressRefused:
        return False
    return True


def test_public_addresses_pass() -> None:
    """Addresses of the internet pass, also those right beside the blocks that are not public."""
    assert [address for address in PUBLIC if not passes(OUTSIDE, address)] == []


def test_all_others_are_refused() -> None:
    """No address of the corpus passes, however it is written or hidden in another."""
    assert [address for address in ADDRESSES if passes(OUTSIDE, address)] == []


@pytest.mark.parametrize("junk", ["", "name.test", "127.1", "2130706433", "0x7f.1", "1.1.1.1.1"])
def test_what_is_no_address_is_refused(junk: str) -> None:
    """Only an address that was resolved can pass: names and other numbers cannot."""
    assert not passes(Guard("http://name.test", EVERYTHING), junk)


def test_an_empty_socket_address_is_refused() -> None:
    """Something without any address, such as of another family, does not pass."""
    with pytest.raises(UpstreamAddressRefused):
        OUTSIDE.check(())


@pytest.mark.parametrize(
    ("url", "allowed", "refused"),
    [
        ("http://127.0.0.1:1234/v1", "127.0.0.1", "127.0.0.2"),
        ("http://127.0.0.1:1234/v1", "::ffff:127.0.0.1", "::1"),
        ("http://10.0.0.1/v1", "10.0.0.1", "10.0.0.2"),
        ("http://[::1]:8080", "::1", "127.0.0.1"),
        ("http://[fd00::1]", "fd00::1", "fd00::2"),
        ("http://[fd00::1]", "fd00::1%eth0", "fe80::1%eth0"),
        ("http://[::ffff:10.0.0.1]", "10.0.0.1", "10.0.0.2"),
        ("http://localhost:11434/v1", "127.0.0.1", "10.0.0.1"),
        ("http://LocalHost.", "::1", "::2"),
        ("http://llm.localhost", "127.255.0.1", "192.168.0.1"),
    ],
)
def test_a_base_url_allows_what_it_names(url: str, allowed: str, refused: str) -> None:
    """A literal allows exactly itself, `localhost` allows loopback, and neither allows more."""
    guard = Guard(url)
    assert passes(guard, allowed)
    assert not passes(guard, refused)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost.provider.test", "http://notlocalhost", "http://localhost@provider.test",
        "http://2130706433", "http://0x7f000001", "http://127.1", "http://017700000001",
        "http://127.0.0.1.nip.test", "http://127.0.0.1@provider.test", "http://[::1", "simulator:",
        "http://provider.test/127.0.0.1", "http://provider.test#@127.0.0.1", "127.0.0.1",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_name_of_this_machine_allows_nothing(url: str) -> None:
    """Names that begin or end like localhost, and odd spellings of numbers, allow no loopback."""
    assert not passes(Guard(url), "127.0.0.1")
    assert not passes(Guard(url), "::1")


def test_private_networks_allow_what_is_in_them() -> None:
    """A network in `private_networks` lets its own addresses pass, in any spelling of them."""
    guard = Guard("http://llm.internal", ("10.1.0.0/16", "fd12::/16"))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd12::1", "1.1.1.1"):
        assert passes(guard, address), address
    for address in ("10.2.0.1", "127.0.0.1", "fd13::1", "2002:a01:203::1", "::10.1.2.3"):
        assert not passes(guard, address), address


def test_some_addresses_never_pass() -> None:
    """Metadata, link-local, multicast, unspecified and broadcast pass for nobody."""
    never = [
        "0.0.0.0", "169.254.169.254", "169.254.1.1", "224.0.0.1", "255.255.255.255", "::",
        "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254", *METADATA,
        *(hidden for address in METADATA for hidden in embed(address)),
    ]  # fmt: skip
    guard = Guard("http://llm.internal", EVERYTHING)
    assert [address for address in never if passes(guard, address)] == []
    named = [
        address
        for address in never
        if passes(Guard(f"http://[{address}]" if ":" in address else f"http://{address}"), address)
    ]
    assert named == []


def test_a_refusal_tells_what_can_be_allowed_from_what_never_is() -> None:
    """The detail names the address, and `private_networks` only where that would help."""
    guard = Guard("http://llm.internal")
    details = {}
    for address in ("::ffff:172.18.0.2", "169.254.169.254"):
        with pytest.raises(UpstreamAddressRefused) as caught:
            guard.check((address, 443))
        details[address] = caught.value.detail
    assert details == {
        "::ffff:172.18.0.2": "172.18.0.2 is not public, and not in the provider's private_networks",
        "169.254.169.254": "169.254.169.254 is never allowed",
    }


def test_all_networks_allow_all_that_is_private() -> None:
    """An operator may open every private network; then private addresses pass."""
    guard = Guard("http://llm.internal", EVERYTHING)
    assert [address for address in PRIVATE if not passes(guard, address)] in (
        [],
        ["100.100.100.200"],
    )
    assert passes(guard, "fec0::1")
    assert passes(guard, "::1")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest", "http://[fe80::1]/v1", "http://[fd00:ec2::254]",
        "http://0.0.0.0:8000/v1", "http://[::]", "http://[::ffff:169.254.169.254]",
        "http://255.255.255.255", "http://224.0.0.1", "http://[64:ff9b::169.254.169.254]",
        "http://2852039166", "http://0xa9fea9fe", "http://127.1", "http://0251.0376.0251.0376",
        "http://127.0.0.1.", "http://1.2.3.4.5",
    ],
)  # fmt: skip
def test_urls_that_can_never_be_reached_are_problems(url: str) -> None:
    """A literal that is never allowed, or a number that is no address, says how to mend it."""
    found = find_url_problem(url)
    assert found is not None
    assert all(found)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.provider.test/v1", "http://127.0.0.1:1234/v1", "http://[::1]:80", "simulator:",
        "http://localhost", "http://10.0.0.1", "http://8.8.8.8", "http://4.provider.test", "",
        "http://llm-1.internal", "http://node7",
    ],
)  # fmt: skip
def test_urls_that_may_be_reached_are_none(url: str) -> None:
    """Names, private literals and loopback are nobody's mistake."""
    assert find_url_problem(url) is None


def test_the_corpus_holds_what_it_should() -> None:
    """Every block of IPv6 that is not public has a vector."""
    assert len(ADDRESSES) >= 250
    assert set(V6) <= set(ADDRESSES)


def test_only_those_who_ask_the_guard_connect_to_the_outside() -> None:
    """No file but one of each transport names anything that opens a connection."""
    found = []
    for path in python_files(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text())):
            names: set[str] = set()
            if isinstance(node, ast.Attribute):
                names = {node.attr} & DIALLING
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names} & DIALLERS
            elif isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names} & DIALLING
                names |= {node.module or ""} & DIALLERS
            found += [f"{shown(path)}: {name}" for name in names]
    elsewhere = [each for each in found if not each.startswith(GUARDED)]
    assert found != elsewhere
    assert not elsewhere, listed(elsewhere)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:1/v1", True),
        ("http://a.localhost.", True),
        ("http://127.9.9.9", True),
        ("http://[::ffff:127.0.0.1]:1", True),
        ("http://10.0.0.1", False),
        ("http://api.provider.test", False),
        ("", False),
    ],
)
def test_this_machine_is_known_by_its_names(url: str, expected: bool) -> None:
    """`localhost`, what ends in it, and addresses of loopback are this machine."""
    assert is_loopback(url) is expected
