"""A worker gets its sockets and its first message, or learns that there are none."""

import socket
import threading

import pytest

from proxy.control.frames import FrameBroken, build_frame
from proxy.control.handover import receive_start, send_start
from proxy.control.messages import Ping, Start
from proxy.domain.settings import InstallSettings

START = Start(1, InstallSettings(), b"pepper" * 20_000)
"""Larger than what a socket's buffers hold: it arrives in pieces."""


def test_a_listening_socket_serves_at_the_other_end() -> None:
    """The descriptor that arrives accepts connections to the very same address."""
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as listening:
        sending = threading.Thread(target=send_start, args=(ours, START, [listening]))
        sending.start()
        begun = receive_start(theirs)
        sending.join()
        assert begun is not None
        start, [inherited] = begun
        assert start == START
        with inherited, socket.create_connection(listening.getsockname()):
            accepted, _ = inherited.accept()
            accepted.close()


def test_a_supervisor_that_left_is_no_fault() -> None:
    """The end before the first message is None: there is nothing to do."""
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        assert receive_start(theirs) is None


@pytest.mark.parametrize(
    "data", [build_frame(START)[:-1], build_frame(Ping(1)), b"\xff\xff\xff\xff", b"\0\0\0\1\xc1"]
)
def test_another_beginning_is_refused(data: bytes) -> None:
    """A first message that is cut off, another one, or none of ours raises FrameBroken."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with ours, socket.create_server(("127.0.0.1", 0)) as listening:
            socket.send_fds(ours, [b"\x01"], [listening.fileno()])
            ours.sendall(data)

    sending = threading.Thread(target=send)
    sending.start()
    with theirs, pytest.raises(FrameBroken):
        receive_start(theirs)
    sending.join()
