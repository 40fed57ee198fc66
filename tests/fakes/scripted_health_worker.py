"""
A health worker that does as it is told by its test: `python -m tests.fakes.scripted_health_worker
FD MANNER`.

Its manners: `good` tells one verdict with each snapshot, and answers what it is asked by what it
was told; `mute` never answers; `dies` ends when it is asked; `stays` does not end when it is told
to; `young` ends as soon as it has begun.
"""

import socket
import sys

import msgspec

from proxy.control.frames import build_frame
from proxy.control.handover import receive_start
from proxy.control.messages import (
    Ack,
    Answer,
    Ask,
    ClientMessage,
    Drain,
    Happened,
    Ping,
    Pong,
    Publish,
    Ready,
    Verdicts,
    Watch,
)
from proxy.domain.health import HealthNews, HealthVerdict
from tests.fakes.scripted_worker import read_all


def main() -> None:
    """Begin as a real health worker does, then behave."""
    connection, manner = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    if receive_start(connection) is None:
        return
    if manner == "young":
        sys.exit(3)
    behave(connection, manner)


def behave(connection: socket.socket, manner: str) -> None:
    """Answer what comes, in this manner, until told to end or left alone."""
    told: list[str] = []
    number = 0

    def say(*messages: ClientMessage) -> None:
        connection.sendall(b"".join(map(build_frame, messages)))

    for message in read_all(connection):
        match message:
            case Watch():
                told += [f"watch {endpoint.name}" for endpoint in message.endpoints]
            case Publish():
                number += 1
                told.append(f"publish {message.generation}")
                say(Ready(), Ack(message.generation), build_news(number))
            case Happened():
                told += [f"event {event.name}" for event in message.events]
            case Ping():
                say(Pong(message.number))
            case Ask() if manner == "dies":
                sys.exit(4)
            case Ask() if message.what == "clear":
                say(Answer(message.id, b'{"message": "not today"}', is_error=True))
            case Ask() if manner != "mute":
                body = {"asked": msgspec.json.decode(message.body), "told": told}
                say(Answer(message.id, msgspec.json.encode(body)))
            case Drain() if manner != "stays":
                return


def build_news(number: int) -> Verdicts:
    """Return news of one provider, whose reason is the number of these news."""
    verdict = HealthVerdict("a", "https://a.example", "healthy", f"news {number}", 1.0, 2.0, 60.0)
    return Verdicts(HealthNews(1, number, (verdict,), 30.0))


if __name__ == "__main__":
    main()
