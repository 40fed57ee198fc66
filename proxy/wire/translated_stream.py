"""A provider's stream in one dialect on its way to a client of another: reader, then writer."""

from collections.abc import Iterable

from proxy.domain.errors import ProxyError, UpstreamTooLarge
from proxy.domain.events import (
    CallArguments,
    CallStarted,
    Counted,
    Event,
    Finished,
    Refused,
    Said,
    Thinking,
)
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.dialect import EventReader, EventWriter
from proxy.wire.kept_reasoning import NOTED, Gatherer
from proxy.wire.openai_said import count_bytes
from proxy.wire.usage_estimate import estimate_usage

CONTENT = Said | Thinking | CallStarted | Refused | Finished
"""What passes the commit point."""


class TranslatedStream:
    """The StreamReader (see `wire/base.py`) where the two ends speak different dialects."""

    def __init__(self, ask: Ask, reader: EventReader, writer: EventWriter) -> None:
        self.has_content = False
        self.is_over = False
        self.usage: Usage | None = None
        self._ask = ask
        self._reader = reader
        self._writer = writer
        self._said_bytes = 0
        self._counted_bytes = 0
        self._gatherer = Gatherer()
        self._too_large: UpstreamTooLarge | None = None
        """The answer is longer than the client's dialect can take."""

    @property
    def error(self) -> ProxyError | None:
        """What went wrong, as the provider's reader has found it, or the client's writer."""
        return self._reader.error or self._too_large

    @property
    def anomalies(self) -> set[Anomaly]:
        """What was odd about the provider's events."""
        return self._reader.anomalies

    @property
    def event_count(self) -> int:
        """Whole events of the provider so far."""
        return self._reader.event_count

    @property
    def is_complete(self) -> bool:
        """Nothing of the answer is missing, and no error (see `wire/base.py`)."""
        return self.error is None and (self.is_over or self._reader.may_end)

    @property
    def has_said_more(self) -> bool:
        """More has been said since usage was last reported (see `wire/base.py`)."""
        return self._said_bytes > self._counted_bytes

    def estimate_usage(self) -> Usage:
        """Return the usage as estimated from what was said so far (see `wire/base.py`)."""
        return estimate_usage(self._ask, self._said_bytes)

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return the client's (see `wire/base.py`)."""
        if self.is_over or self.error is not None:
            return b""
        out = self._write(self._reader.feed(chunk))
        if self._reader.is_over and self.error is None:
            out += self._close()
        return out

    def finish(self) -> bytes:
        """Take note of the end of the body (see `wire/base.py`)."""
        if self.is_over or self.error is not None:
            return b""
        out = self._write(self._reader.finish())
        return out if self.error is not None else out + self._close()

    def _close(self) -> bytes:
        self.is_over = True
        self._ask.kept += self._gatherer.finish()
        if self.usage is None:
            # A client that asked for usage gets what is billed, whoever has counted it.
            self.usage = self.estimate_usage()
            self._writer.write([Counted(self.usage)])
        try:
            return self._writer.finish()
        except UpstreamTooLarge as error:
            self._too_large = error
            return b""

    def _write(self, events: list[Event]) -> bytes:
        if not events:
            return b""
        self._note(events)
        try:
            return self._writer.write(events)
        except UpstreamTooLarge as error:
            self._too_large = error
            return b""

    def _note(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Said | CallArguments | Thinking | Refused):
                self._said_bytes += count_bytes(event.text)
            elif isinstance(event, Counted):
                self.usage = event.usage
                self._counted_bytes = self._said_bytes
            if isinstance(event, NOTED):
                self._gatherer.note(event)
            if not self.has_content and isinstance(event, CONTENT):
                self.has_content = True
