"""The sockets of the service: opened once, at every address, or told why not."""

import socket

import pytest

from proxy.supervisor.sockets import describe, open_listening


def test_each_address_is_listened_on(loopback_port: int) -> None:
    """Clients connect to every one of them, before anybody accepts."""
    listening = open_listening([("127.0.0.1", loopback_port), ("::1", 0)])
    try:
        for sock in listening:
            socket.create_connection(sock.getsockname()[:2], timeout=5).close()
        assert describe(listening)[0] == f"http://127.0.0.1:{loopback_port}"
        assert describe(listening)[1].startswith("http://[::1]:")
    finally:
        for sock in listening:
            sock.close()


def test_a_name_with_two_addresses_has_one_port() -> None:
    """`localhost` with a free port is the same port on each of its addresses."""
    listening = open_listening([("localhost", 0)])
    ports = {sock.getsockname()[1] for sock in listening}
    for sock in listening:
        sock.close()
    assert len(ports) == 1


def test_all_of_ipv6_leaves_ipv4_alone(loopback_port: int) -> None:
    """`::` and `0.0.0.0` are listened on side by side, on one port."""
    listening = open_listening([("0.0.0.0", loopback_port), ("::", loopback_port)])
    assert len(listening) == 2
    for sock in listening:
        sock.close()


def test_an_address_in_use_is_told_and_nothing_stays_open() -> None:
    """The error names the address and the way out; what was opened before it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()
        probe.close()
        with pytest.raises(OSError, match=r"Address already in use\. Stop what uses it"):
            open_listening([free, taken.getsockname()])
        socket.create_server(free).close()


def test_a_host_that_is_none_is_told() -> None:
    """A name without an address is named, with the way out."""
    with pytest.raises(OSError, match=r"^nowhere\.invalid:80 cannot be listened on: "):
        open_listening([("nowhere.invalid", 80)])
