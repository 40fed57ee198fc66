"""
A worker that does as it is told by its test: `python -m tests.fakes.scripted_worker FD MANNER`.

It speaks the frames of a real one and serves nothing. Its manners: `good`; `dies` before it is
ready; `deaf` is ready and then never answers; `slow` never acknowledges a snapshot after its
first; `stays` does not end when it is told to; `asks` asks for something once it is ready, and
`tells` tells of an event. What it is told of breakers, events and verdicts it says back as an Ask.
"""

import socket
import sys
from collections.abc import Iterator
from typing import Any

from proxy.control.frames import build_frame, receive_frame
from proxy.control.handover import receive_start
from proxy.control.messages import (
    Ack,
    Answer,
    Ask,
    BreakerOrder,
    ClientMessage,
    Drain,
    Happened,
    Ping,
    Pong,
    Publish,
    Ready,
    ServerMessage,
    Verdicts,
)
from proxy.domain.event import Event


def main() -> None:
    """Begin as a real worker does, then behave."""
    connection, manner = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    begun = receive_start(connection)
    if begun is None:
        return
    if manner == "dies":
        sys.exit(3)
    behave(connection, manner)


def behave(connection: socket.socket, manner: str) -> None:
    """Answer what comes, in this manner, until told to end or left alone."""
    taken = 0

    def say(*messages: ClientMessage) -> None:
        connection.sendall(b"".join(map(build_frame, messages)))

    for message in read_all(connection):
        if isinstance(message, Publish):
            taken += 1
            if taken == 1:
                say(Ready(), Ack(message.generation))
                if manner == "asks":
                    say(Ask(9, "reload", b"{}", "a test"))
                elif manner == "tells":
                    say(Happened((Event("breaker", 1.5, b"what happened"),)))
            elif manner != "slow":
                say(Ack(message.generation))
        elif isinstance(message, Ping) and manner != "deaf":
            say(Pong(message.number))
        elif isinstance(message, Drain) and manner != "stays":
            return
        elif isinstance(message, Answer):
            say(Ask(10, "told", message.body))
        elif isinstance(message, BreakerOrder):
            say(Ask(11, "ordered", f"{message.command} {message.target}".encode()))
        elif isinstance(message, Happened):
            say(Ask(12, "heard", message.events[0].data))
        elif isinstance(message, Verdicts):
            say(Ask(13, "believed", str(message.news.number).encode()))


def read_all(connection: socket.socket) -> Iterator[ServerMessage]:
    """Yield every message until the other end closes."""
    kinds: Any = ServerMessage
    while (message := receive_frame(connection, kinds)) is not None:
        yield message


if __name__ == "__main__":
    main()
