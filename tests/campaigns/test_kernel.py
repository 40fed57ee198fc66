"""What campaigns read from the kernel."""

import os
import socket

from campaigns.ground.kernel import count_descriptors, find_client_ports, read_resident_bytes


def test_the_far_ends_of_a_process_are_found() -> None:
    """The port of a client belongs to whoever has accepted its connection, and to nobody else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            mine = client.getsockname()[1]
            assert mine not in find_client_ports(os.getpid(), port)
            accepted, _ = listener.accept()
            with accepted:
                assert find_client_ports(os.getpid(), port) == {mine}


def test_descriptors_and_memory_are_counted() -> None:
    """One more descriptor counts for one; a process has memory in use."""
    before = count_descriptors(os.getpid())
    with socket.socket():
        assert count_descriptors(os.getpid()) == before + 1
    assert read_resident_bytes(os.getpid()) > 2**20
