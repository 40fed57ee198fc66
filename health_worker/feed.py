"""
Where a health worker that the supervisor has started gets its targets from: the supervisor.

Neither YAML nor pydantic is loaded here; `watched_feed.py` is that of a service of its own.
"""

from collections.abc import Callable, Sequence

import structlog

from proxy.config.snapshot import decode_snapshot
from proxy.control.frames import Link
from proxy.control.messages import (
    Ack,
    Answer,
    Ask,
    BreakerOrder,
    Drain,
    Happened,
    Nack,
    Ping,
    Pong,
    Publish,
    Ready,
    ReopenLog,
    ServerMessage,
    Start,
    Tell,
    Verdicts,
    Watch,
)
from proxy.domain.catalog import Snapshot
from proxy.domain.event import Event
from proxy.domain.health import WatchedEndpoint
from proxy.domain.settings import InstallSettings
from proxy.providers.registry import load_types

OnConfig = Callable[[Snapshot, Sequence[WatchedEndpoint], InstallSettings], None]
"""Gets every configuration that comes into force, the first one too."""

_log = structlog.get_logger("llm_proxy.health_worker")


class SupervisedFeed:
    """The health worker's end of its connection to the supervisor."""

    def __init__(
        self,
        link: Link[ServerMessage],
        install: InstallSettings,
        *,
        on_config: OnConfig,
        on_ask: Callable[[Ask], None],
        on_events: Callable[[Sequence[Event]], None],
        on_reopen: Callable[[], None],
    ) -> None:
        """
        Hear nothing yet.

        Args:
            link: the supervisor is at its other end.
            install: what stays the same as long as this process lives.
            on_config: gets each configuration.
            on_ask: gets what is asked of the health worker; `send` brings the answer back.
            on_events: gets what has happened in workers, such as breakers that have opened.
            on_reopen: called when the log file was moved away.
        """
        self._link = link
        self._install = install
        self._on_config = on_config
        self._on_ask = on_ask
        self._on_events = on_events
        self._on_reopen = on_reopen
        self._endpoints: tuple[WatchedEndpoint, ...] = ()
        self._is_ready = False

    def send(self, message: Verdicts | Answer) -> None:
        """Tell the supervisor something; if it is gone, nobody hears it."""
        self._link.send(message)

    async def run(self) -> None:
        """Do what the supervisor says, until it says to end or is gone."""
        async for message in self._link.receive():
            if isinstance(message, Drain):
                return
            self._do(message)

    def _do(self, message: ServerMessage) -> None:
        match message:
            case Watch():
                self._endpoints = message.endpoints
            case Publish():
                self._take(message)
            case Ask():
                self._on_ask(message)
            case Happened():
                self._on_events(message.events)
            case Ping():
                self._link.send(Pong(message.number))
            case ReopenLog():
                self._on_reopen()
            case Start() | Tell() | Drain() | BreakerOrder() | Answer() | Verdicts():
                _log.error("a message that is not for a health worker was passed over")

    def _take(self, publish: Publish) -> None:
        try:
            snapshot = decode_snapshot(publish.parts)
            for fault in load_types(provider.type for provider in snapshot.providers.values()):
                _log.error("a provider's type is missing", reason=str(fault))
            self._on_config(snapshot, self._endpoints, self._install)
        except Exception:  # noqa: BLE001
            # Of a configuration that cannot be taken, be it for code that another package brings,
            # nothing is used: the one before stays.
            _log.exception("a snapshot could not be taken", generation=publish.generation)
            self._link.send(Nack(publish.generation))
            return
        if not self._is_ready:
            self._is_ready = True
            self._link.send(Ready())
        self._link.send(Ack(publish.generation))
