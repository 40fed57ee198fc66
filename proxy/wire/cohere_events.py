"""
Cohere's answers, streamed or whole -> events, whatever way the bytes were split.

What each event of a stream says is read by `cohere_decoder.py`.
"""

from collections.abc import Sequence

from proxy.domain.errors import (
    ProxyError,
    UpstreamProtocolError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.events import Event
from proxy.domain.exchange import Anomaly
from proxy.wire.cohere_decoder import CohereDecoder, build_malformed
from proxy.wire.json_text import holds_too_many_values, mend_text
from proxy.wire.openai_error import read_error_text, without_words
from proxy.wire.sse import EventSplitter, EventTooLarge, ServerSentEvent


class CohereEvents:
    """
    The EventReader (see `wire/dialect.py`) of the streams of `/v2/chat`.

    Args:
        max_event_bytes: a larger event is an error.

    Source: wire-formats §3.3; tests/wire/test_cohere_events.py.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self.error: ProxyError | None = None
        self.event_count = 0
        self._decoder = CohereDecoder()
        self._splitter = EventSplitter(max_event_bytes)

    @property
    def is_over(self) -> bool:
        """`message-end` has arrived."""
        return self._decoder.is_over

    @property
    def may_end(self) -> bool:
        """Nothing but `message-end` says so."""
        return self.is_over

    @property
    def anomalies(self) -> set[Anomaly]:
        """What was odd and was mended or set aside."""
        return self._decoder.anomalies

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes and return what they say (see `wire/dialect.py`)."""
        if self._is_closed:
            return []
        try:
            return self._take(self._splitter.feed(chunk))
        except EventTooLarge as excess:
            out = self._take(excess.events)
            if not self._is_closed:
                self.error = UpstreamTooLarge(
                    "The provider sent an event larger than this proxy accepts."
                )
            return out

    def finish(self) -> list[Event]:
        """Take note of the end of the body (see `wire/dialect.py`)."""
        if self._is_closed:
            return []
        out = self._take(self._splitter.finish())
        if isinstance(self.error, UpstreamProtocolError) or not self._is_closed:
            # The last event lacked its end: what cannot be read of it is cut, not malformed.
            self.error = UpstreamTruncated()
        return out

    @property
    def _is_closed(self) -> bool:
        return self.error is not None or self._decoder.is_over

    def _take(self, blocks: Sequence[ServerSentEvent | bytes]) -> list[Event]:
        out: list[Event] = []
        for block in blocks:
            name, data = ("", block) if isinstance(block, bytes) else (block.name, block.data)
            try:
                out += self._take_data(name, data.strip())
            except ProxyError as error:
                self.error = without_words(error) if self._decoder.has_spoken else error
            if self._is_closed:
                break
        return out

    def _take_data(self, name: str, data: bytes) -> list[Event]:
        if not data or data.startswith(b"[DONE]"):
            return []
        if name == "error":
            raise read_error_text(data)
        self.event_count += 1
        try:
            return self._decoder.decode(data)
        except (ValueError, RecursionError):
            pass
        mended = mend_text(data)
        if mended == data:
            raise build_malformed()
        try:
            events = self._decoder.decode(mended)
        except (ValueError, RecursionError):
            raise build_malformed() from None
        self.anomalies.add("utf8_replaced")
        return events


def read_cohere_events(body: bytes) -> tuple[list[Event], tuple[Anomaly, ...]]:
    """
    Return the events of a whole answer, and what was odd about it.

    Args:
        body: of an answer with status 200.

    Raises:
        UpstreamError: an error inside the 200, or a body that is not Cohere's.
        UpstreamTooLarge: more values than MAX_VALUES in `json_text.py`.
        UpstreamTruncated: it does not say why it has ended.

    Source: wire-formats §3.3; tests/wire/test_cohere_events.py.
    """
    if holds_too_many_values(body):
        raise UpstreamTooLarge(
            "The provider's answer has more parts than this proxy accepts.",
            code="answer_too_large",
        )
    decoder = CohereDecoder()
    try:
        return decoder.decode_answer(body), tuple(decoder.anomalies)
    except (ValueError, RecursionError):
        pass
    mended = mend_text(body)
    if mended == body:
        raise UpstreamProtocolError()
    decoder = CohereDecoder()
    try:
        events = decoder.decode_answer(mended)
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    return events, ("utf8_replaced", *decoder.anomalies)
