"""
What supervisor and workers, and commands and the supervisor, say to each other.

Each message is one frame of `frames.py`. Unknown fields are passed over and new ones have
defaults, so that a worker of the version before understands what it needs. A connection
carries `ServerMessage`s one way and `ClientMessage`s the other; the supervisor is the server.
"""

from msgspec import Struct

from proxy.domain.breaker import BreakerCommand
from proxy.domain.event import Event
from proxy.domain.health import HealthNews, WatchedEndpoint
from proxy.domain.service import ServiceStatus
from proxy.domain.settings import InstallSettings

HURRY_S = 5.0
"""How long open requests may still go on when the signal to stop comes a second time."""


class Start(Struct, frozen=True, tag="start"):
    """
    The first message to a worker; its listening sockets come as descriptors just before it.

    `worker` is its number, which a replacement takes over. `pepper` is what keys are hashed
    with.
    """

    worker: int
    install: InstallSettings
    pepper: bytes


class Publish(Struct, frozen=True, tag="snapshot"):
    """A snapshot to serve from now on; `parts` are those of `encode_snapshot`."""

    generation: int
    parts: tuple[bytes, ...]


class Tell(Struct, frozen=True, tag="status"):
    """How the whole service stands."""

    status: ServiceStatus


class Drain(Struct, frozen=True, tag="drain"):
    """
    Stop accepting after `delay_s`, let open requests end within `within_s`, then exit.

    A second one shortens what is left.
    """

    within_s: float
    delay_s: float = 0.0


class Ping(Struct, frozen=True, tag="ping"):
    """Asks whether the event loop still turns; answered by a Pong with the same number."""

    number: int


class ReopenLog(Struct, frozen=True, tag="reopen_log"):
    """The log file was moved away: open it anew under its name."""


class BreakerOrder(Struct, frozen=True, tag="breaker"):
    """
    What an operator says to circuit breakers that each worker has for itself.

    `target` is an id, a provider's name for all of its own, or `*`.
    """

    target: str
    command: BreakerCommand


class Happened(Struct, frozen=True, tag="events"):
    """Events of one worker, for those who listen at the others; it goes both ways."""

    events: tuple[Event, ...]


class Watch(Struct, frozen=True, tag="watch"):
    """What a health worker watches besides the providers of the snapshot that follows."""

    endpoints: tuple[WatchedEndpoint, ...]


class Verdicts(Struct, frozen=True, tag="verdicts"):
    """What a health worker tells the supervisor, and that every worker; it goes both ways."""

    news: HealthNews


class Answer(Struct, frozen=True, tag="answer"):
    """What an `Ask` came to: `body` is JSON, `is_error` says that it could not be done."""

    id: int
    body: bytes
    is_error: bool = False


class Ready(Struct, frozen=True, tag="ready"):
    """The worker serves."""


class Ack(Struct, frozen=True, tag="ack"):
    """New requests of this worker go by the snapshot of this number."""

    generation: int


class Nack(Struct, frozen=True, tag="nack"):
    """The snapshot of this number could not be taken; the one before it is still served."""

    generation: int


class Pong(Struct, frozen=True, tag="pong"):
    """The event loop turns."""

    number: int


class Leaving(Struct, frozen=True, tag="leaving"):
    """The worker was told by a signal to drain, and wants a replacement."""


class Ask(Struct, frozen=True, tag="ask"):
    """
    Something only the supervisor can do or knows: `what` is `reload`, `config`, `breaker`, ...

    `body` is JSON with the arguments, `by` says who asks, fit for a log. `id` is the asker's.
    """

    id: int
    what: str
    body: bytes = b"{}"
    by: str = ""


ServerMessage = (
    Start
    | Publish
    | Tell
    | Drain
    | Ping
    | ReopenLog
    | BreakerOrder
    | Happened
    | Answer
    | Watch
    | Verdicts
    | Ask
)
ClientMessage = Ready | Ack | Nack | Pong | Leaving | Happened | Ask | Verdicts | Answer
"""The supervisor asks the health worker, and nobody else."""
