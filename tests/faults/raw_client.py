"""
A client on raw sockets that believes nothing: it sends bytes and judges every byte that comes.

What it gets becomes an `Outcome`: a full answer, an error by status, or an error in a stream.
Anything else (half a body, `[DONE]` behind an error, an error in another shape, bytes behind
the end) is no outcome and raises AssertionError. `oracle.py` compares outcomes with records.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from proxy.wire.sse import EventSplitter, ServerSentEvent

PATIENCE_S = 20.0
"""After this long without an end a request counts as hung; no promise is this long."""

Kind = Literal["answer", "refused", "broken"]
_TAG = re.compile(rb"tag-[0-9]{8}")
_ERROR_KEYS = {"message", "type", "param", "code"}
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Reply:
    """One HTTP answer as it came: status, headers in lower case, the body without framing."""

    status: int
    headers: Mapping[str, str]
    head: bytes
    body: bytes
    closes: bool
    """The server said that this connection takes no further request."""


@dataclass(frozen=True)
class Outcome:
    """
    How one request ended for its client.

    `answer`: complete, as far as a client can tell. `refused`: an error status. `broken`: a
    stream that has begun and ends with one error event.
    """

    kind: Kind
    reply: Reply
    error: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[bytes] = ()
    """The data of each event of a stream, `[DONE]` and the error included."""

    @property
    def verdict(self) -> tuple[Kind, int, str | None]:
        """Kind, status and error code: what the rows of the catalogue speak of."""
        return self.kind, self.reply.status, self.code

    @property
    def code(self) -> str | None:
        """The error's code, or its type where it has none; None if all is well."""
        return self.error["code"] or self.error["type"] if self.error else None

    @property
    def request_id(self) -> str:
        """The id that the answer names."""
        return self.reply.headers.get("x-request-id", "")

    @property
    def tags(self) -> set[bytes]:
        """Every tag of an upstream's answer in it."""
        return set(_TAG.findall(self.reply.body))

    @property
    def value(self) -> Any:
        """The decoded body of a JSON answer."""
        return msgspec.json.decode(self.reply.body)

    @property
    def chunks(self) -> list[Any]:
        """The decoded events of a stream, without `[DONE]` and without the error."""
        last = 1 if self.kind == "broken" or self.events[-1:] == [b"[DONE]"] else 0
        return [msgspec.json.decode(event) for event in self.events[: len(self.events) - last]]

    @property
    def text(self) -> str:
        """The text of the first choice, whether streamed or whole."""
        if not self.events:
            return str(self.value["choices"][0]["message"]["content"])
        return "".join(
            choice["delta"].get("content") or ""
            for chunk in self.chunks
            for choice in chunk["choices"][:1]
        )


async def send(port: int, request: bytes, replies: int = 1) -> list[Reply]:
    """
    Send bytes over a connection of their own and return the answers.

    Reads until `replies` have come, and to the end of the connection if the last of them
    closes it: bytes behind the last answer are an AssertionError, as is silence.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    found: list[Reply] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(request)
            while len(found) < replies or found[-1].closes:
                part = await _read_some(reader)
                received += part
                while (parsed := parse_reply(received, at_end=not part)) is not None:
                    reply, received = parsed
                    found.append(reply)
                    assert len(found) <= replies, f"one answer too many: {reply.head!r}"
                if not part:
                    break
    except TimeoutError:
        raise AssertionError(f"no end after {PATIENCE_S} s: {received[-500:]!r}") from None
    finally:
        writer.close()
    assert not received, f"bytes that are no whole answer: {received[-500:]!r}"
    assert len(found) == replies, f"{len(found)} answers instead of {replies}"
    return found


async def _read_some(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except ConnectionResetError:
        # A server that closes with bytes of ours unread resets; what it said has come before.
        return b""


def parse_reply(received: bytes, *, at_end: bool) -> tuple[Reply, bytes] | None:
    """Return the first whole answer and what follows it; None if there is none yet."""
    if received.startswith(b"HTTP/1.1 100 "):
        received = received.partition(_HEAD_END)[2]
    head, end, rest = received.partition(_HEAD_END)
    if not end:
        return None
    line, *fields = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for text in fields:
        name, colon, value = text.partition(":")
        assert colon and name == name.strip(), f"a bad header line: {text!r}"
        assert name.lower() not in headers, f"{name} came twice"
        headers[name.lower()] = value.strip()
    version, status = line.split(" ")[:2]
    assert version in ("HTTP/1.1", "HTTP/1.0"), f"no status line: {line!r}"
    closes = headers.get("connection", "").lower() == "close"

    if "transfer-encoding" in headers:
        assert "content-length" not in headers, "two framings in one answer"
        parsed = _parse_chunks(rest)
    elif "content-length" in headers or status == "204":
        length = int(headers.get("content-length", "0"))
        parsed = (rest[:length], rest[length:]) if len(rest) >= length else None
    else:
        assert closes, "neither a length nor chunks nor a close"
        parsed = (rest, b"") if at_end else None
    if parsed is None:
        return None
    return Reply(int(status), headers, head, parsed[0], closes), parsed[1]


def _parse_chunks(rest: bytes) -> tuple[bytes, bytes] | None:
    parts = []
    while True:
        size, end, rest = rest.partition(b"\r\n")
        if not end:
            return None
        length = int(size, 16)
        if len(rest) < length + 2:
            return None
        assert rest[length : length + 2] == b"\r\n", "a chunk of another length than it says"
        parts.append(rest[:length])
        rest = rest[length + 2 :]
        if length == 0:
            return b"".join(parts), rest


def judge_reply(reply: Reply) -> Outcome:
    """Return what a reply is to its client; raises AssertionError if it is nothing that may be."""
    media_type = reply.headers.get("content-type", "").partition(";")[0]
    if reply.status >= 400:
        assert media_type == "application/json", f"an error as {media_type!r}: {reply.body[:200]!r}"
        assert reply.headers.get("x-request-id", "").startswith("req_"), "an error without an id"
        return Outcome("refused", reply, error=_read_error(reply.body))
    assert reply.status in (200, 204), f"no client knows what {reply.status} means"
    if media_type == "text/event-stream":
        return _judge_stream(reply)
    if media_type == "application/json":
        value = msgspec.json.decode(reply.body)
        assert not (isinstance(value, dict) and value.get("error")), "an error with status 200"
    return Outcome("answer", reply)


def _judge_stream(reply: Reply) -> Outcome:
    events = _read_events(reply.body)
    errors = [position for position, event in enumerate(events) if _is_error(event)]
    if errors:
        assert errors == [len(events) - 1], "something follows an error in the stream"
        assert b"[DONE]" not in events, "[DONE] in a stream that failed"
        return Outcome("broken", reply, error=_read_error(events[-1]), events=events)
    assert events[-1:] == [b"[DONE]"], f"a stream without an end: {reply.body[-200:]!r}"
    assert events.count(b"[DONE]") == 1, "[DONE] twice"
    return Outcome("answer", reply, events=events)


def _read_events(body: bytes) -> list[bytes]:
    # The splitter that the product uses is strict enough about what we send ourselves: each of
    # our events is one `data: ` line, and what is left over at the end shows as unfinished.
    assert body.endswith(b"\n\n") or not body, f"half an event: {body[-200:]!r}"
    found = EventSplitter(1 << 30).feed(body)
    return [event.data if isinstance(event, ServerSentEvent) else event for event in found]


def _is_error(event: bytes) -> bool:
    if event == b"[DONE]":
        return False
    value = msgspec.json.decode(event)
    return isinstance(value, dict) and bool(value.get("error"))


def _read_error(body: bytes) -> dict[str, Any]:
    value = msgspec.json.decode(body)
    error = value["error"]
    assert isinstance(error, dict), f"an error in another shape: {body[:200]!r}"
    assert error.keys() == _ERROR_KEYS, f"an error with other keys: {sorted(error)}"
    assert error["message"], "an error without words"
    return error
