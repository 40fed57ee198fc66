"""
Anthropic's answers for clients of Anthropic's dialect: checked, and passed on as they came.

Of a stream whole events go through, pings among them, each with its type in its `event:` line;
comments and fields that no client reads do not.
"""

import msgspec

from proxy.domain.errors import ProxyError, UpstreamProtocolError
from proxy.domain.events import Counted
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.anthropic_events import AnthropicFeed, Taken, decode_whole
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.openai_usage import MOST_TOKENS
from proxy.wire.usage_estimate import estimate_usage

_STOP_EVENT = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class _Count(msgspec.Struct):
    input_tokens: int


_decode_count = msgspec.json.Decoder(_Count).decode


class AnthropicStream:
    """The StreamReader (see `wire/base.py`) where both ends speak Anthropic's dialect."""

    def __init__(self, ask: Ask, max_event_bytes: int) -> None:
        self.has_content = False
        self.is_over = False
        self.usage: Usage | None = None
        self._ask = ask
        self._feed = AnthropicFeed(max_event_bytes)

    @property
    def error(self) -> ProxyError | None:
        """What went wrong."""
        return self._feed.error

    @property
    def anomalies(self) -> set[Anomaly]:
        """What was odd and was mended or set aside."""
        return self._feed.decoder.anomalies

    @property
    def event_count(self) -> int:
        """Whole events so far, pings among them."""
        return self._feed.event_count

    @property
    def is_complete(self) -> bool:
        """It has been said why the message stopped, of which nothing is missing; no error."""
        return (self.is_over or self._feed.decoder.is_finished) and self.error is None

    @property
    def has_said_more(self) -> bool:
        """More has been said since usage was last reported (see `wire/base.py`)."""
        decoder = self._feed.decoder
        return decoder.said_bytes > decoder.counted_bytes

    def estimate_usage(self) -> Usage:
        """Return the usage as estimated from what was said so far (see `wire/base.py`)."""
        return estimate_usage(self._ask, self._feed.decoder.said_bytes)

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return whole events for the client (see `wire/base.py`)."""
        if self.is_over:
            return b""
        return self._pass_on(self._feed.feed(chunk))

    def finish(self) -> bytes:
        """Take note of the end of the body (see `wire/base.py`)."""
        feed = self._feed
        if self.is_over or feed.is_closed:
            return b""
        out = self._pass_on(feed.finish())
        if self.is_over or feed.error is not None:
            return out
        self.is_over = True
        self._note(Taken("", b"", feed.decoder.end()))
        return out + _STOP_EVENT

    def _pass_on(self, taken: list[Taken]) -> bytes:
        out = []
        for one in taken:
            self._note(one)
            if one.name:
                out.append(b"event: " + one.name.encode() + b"\ndata: " + one.data + b"\n\n")
        self.has_content = self._feed.has_content
        self.is_over = self._feed.decoder.is_over
        return b"".join(out)

    def _note(self, taken: Taken) -> None:
        for event in taken.events:
            if isinstance(event, Counted):
                self.usage = event.usage


def read_anthropic_answer(ask: Ask, body: bytes) -> CheckedAnswer:
    """
    Check a whole 200 answer for a client of the same dialect and return it as it came.

    Raises:
        UpstreamError: as `read_anthropic_events` says.

    Source: wire-formats §3.1; tests/wire/test_anthropic_stream.py.
    """
    whole = decode_whole(body)
    usage = whole.decoder.usage.usage or estimate_usage(ask, whole.decoder.said_bytes)
    return CheckedAnswer(whole.body, usage, whole.anomalies)


def read_token_count(body: bytes) -> CheckedAnswer:
    """
    Check an answer to `count_tokens` and return it as it came; counting consumes nothing.

    Raises:
        UpstreamError: an error inside the 200, or no count.
    """
    try:
        count = _decode_count(body).input_tokens
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    if not 0 <= count <= MOST_TOKENS:
        raise UpstreamProtocolError()
    return CheckedAnswer(body, Usage(0, 0))
