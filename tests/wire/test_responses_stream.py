"""Streams of the Responses API on their way to clients of the same dialect."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.errors import (
    ProxyError,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.responses_stream import ResponsesStream
from tests.wire.response_events import (
    CALL,
    COMPLETED,
    CREATED,
    IN_PROGRESS,
    ITEM_DONE,
    REGULAR,
    START,
    event,
    response,
    said,
)
from tests.wire.splits import every_cut, read_all

CAP = 1 << 20


def open_stream(cap: int = CAP, ask: Ask | None = None) -> ResponsesStream:
    return ResponsesStream(ask or ask_for(), cap)


def ask_for(**fields: bytes) -> Ask:
    named = {name: Raw(value) for name, value in fields.items()}
    return Ask("responses", "m", named, streams=True)


def read(stream: bytes, **fields: bytes) -> tuple[bytes, ResponsesStream]:
    reader = open_stream(ask=ask_for(**fields))
    return read_all(reader, [stream]), reader


# --- passing on -------------------------------------------------------------------------------


def test_a_regular_stream_passes_whatever_way_it_is_cut() -> None:
    """What leaves are the very bytes that came, and the usage is that of the last event."""
    for pieces in every_cut(REGULAR):
        reader = open_stream()
        assert read_all(reader, pieces) == REGULAR
        assert reader.error is None
        assert reader.is_complete
        assert reader.event_count == 9
        assert reader.usage == Usage(9, 5, cached_tokens=2, reasoning_tokens=1)


def test_deltas_that_come_whole_pass_as_they_came() -> None:
    """Reads of whole deltas are not written anew, and what they say is counted."""
    reader = open_stream()
    reader.feed(START + said("Hi"))
    chunk = said("a" * 8, 6) + said("\u00e9\u00e9", 7)
    assert reader.feed(chunk) is chunk
    assert reader.event_count == 8
    assert reader.estimate_usage().output_tokens == 4


def test_servers_without_names_get_them() -> None:
    """An event without its `event:` line is named by its type, and comments are left out."""
    bare = b": hello\n\n" + REGULAR.replace(b"event: ", b": ")
    out, reader = read(bare + b"data: [DONE]\n\n")
    assert out == REGULAR
    assert reader.error is None


def test_line_ends_within_an_event_become_blanks() -> None:
    """JSON over several `data:` lines is one line for the client."""
    lines = json.dumps({"type": "response.new", "a": [1]}, indent=1).split("\n")
    odd = b"".join(b"data: %b\r\n" % line.encode() for line in lines) + b"\r\n"
    out, _ = read(odd + COMPLETED)
    first = out.partition(b"\n\n")[0]
    assert first.startswith(b"event: response.new\ndata: {")
    assert first.count(b"\n") == 1


def test_an_incomplete_response_is_a_complete_answer() -> None:
    """That it was cut at its limit is what the client is told, and no error."""
    end = event("response.incomplete", 9, response=response("incomplete"))
    out, reader = read(START + said("Hi") + end)
    assert out.endswith(end)
    assert reader.is_complete


def test_nothing_is_passed_behind_the_end() -> None:
    """What comes after the last event is dropped."""
    out, reader = read(REGULAR + said("more"))
    assert out == REGULAR
    assert reader.feed(said("more")) == b""


# --- the commit point -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("text", said("Hi")),
        ("refusal", event("response.refusal.delta", delta="No")),
        ("thought", event("response.reasoning_summary_text.delta", delta="Hm")),
        ("call", event("response.output_item.added", item=CALL)),
        ("search", event("response.web_search_call.searching")),
        ("end", COMPLETED),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_content_passes_the_commit_point(name: str, more: bytes) -> None:
    """What a person could see or a program act on does; what only announces it does not."""
    reader = open_stream()
    reader.feed(START + said(""))
    assert not reader.has_content
    reader.feed(more)
    assert reader.has_content


# --- what goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"", CREATED[:-2], b"data: [DONE]\n\n", said("more")[:40]])
def test_a_stream_without_its_end_is_truncated(end: bytes) -> None:
    """Before content and after it, whatever the body ended with."""
    for start in (START, START + said("Hi")):
        out, reader = read(start + end)
        assert isinstance(reader.error, UpstreamTruncated)
        assert not reader.is_complete
        assert out.startswith(start)
        assert not out.endswith(b"[DONE]\n\n")


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (event("error", code="rate_limit_exceeded", message="x"), UpstreamRateLimited),
        (
            event("error", error={"type": "server_error", "code": "server_is_overloaded"}),
            UpstreamOverloaded,
        ),
        (b'data: {"error":{"message":"x"}}\n\n', UpstreamServerError),
        (
            event(
                "response.failed",
                response=response("failed", error={"code": "server_error", "message": "x"}),
            ),
            UpstreamServerError,
        ),
        (
            event(
                "response.failed",
                response=response("failed", error={"code": "invalid_prompt", "message": "x"}),
            ),
            UpstreamRejected,
        ),
        (event("response.cancelled", response=response("cancelled")), UpstreamTruncated),
        (b"data: {}\n\n", UpstreamProtocolError),
        (b"data: <html>\n\n", UpstreamProtocolError),
        (event("response.created", response=[]), UpstreamProtocolError),
        (event("response.output_item.added", item=3), UpstreamProtocolError),
    ],
    ids=["flat", "nested", "bare", "failed", "client", "cancelled", "empty", "html", "odd", "item"],
)
def test_an_error_is_told_and_not_passed_on(last: bytes, kind: type[ProxyError]) -> None:
    """Its event goes to no client: the dialect writes one, in words that a client may read."""
    for start in (START, START + said("Hi")):
        out, reader = read(start + last + COMPLETED)
        assert isinstance(reader.error, kind)
        assert out == start


def test_a_broken_stream_leaves_id_and_number_for_its_last_events() -> None:
    """They are the client's only if it has been told them: before content nobody has."""
    ask = ask_for()
    reader = open_stream(ask=ask)
    told = []
    for event_bytes in (START, said("Hi", 5), said("Hi", 6), b"event: resp"):
        reader.feed(event_bytes)
        told.append((ask.response_id, ask.next_number))
    assert told == [(None, 0), ("resp_1", 6), ("resp_1", 7), ("resp_1", 7)]


def test_an_event_above_the_cap_is_refused() -> None:
    """What stood before it has been passed."""
    reader = open_stream(cap=1000)
    out = reader.feed(said("Hi") + said("x" * 2000))
    assert out == said("Hi")
    assert isinstance(reader.error, UpstreamTooLarge)


def test_broken_text_is_mended() -> None:
    """A character that was cut costs the client that character and nothing else."""
    out, reader = read(START + said("caf\u00e9").replace(b"\xc3\xa9", b"\xc3") + COMPLETED)
    assert "caf\ufffd".encode() in out
    assert reader.anomalies == {"utf8_replaced"}


def test_usage_that_is_none_is_estimated_and_told() -> None:
    """A count below zero is no bill: what was said is counted instead."""
    usage = {"input_tokens": -1, "output_tokens": 2}
    end = event("response.completed", response=response("completed", usage=usage))
    _, reader = read(START + said("a" * 12) + end, input=b'"12345678"')
    assert reader.usage is None
    assert reader.anomalies == {"usage_anomaly"}
    assert reader.estimate_usage() == Usage(3, 3, source="estimated")


def test_a_response_that_failed_late_costs_what_it_says() -> None:
    """Its event has the token counts, which are better than an estimate."""
    failed = response("failed", error={"code": "server_error", "message": "x"})
    _, reader = read(START + said("Hi") + event("response.failed", 6, response=failed))
    assert reader.usage == Usage(9, 5, cached_tokens=2, reasoning_tokens=1)


# --- what the provider keeps ------------------------------------------------------------------


def test_what_the_provider_keeps_is_noted_as_it_begins_and_as_it_ends() -> None:
    """First its id, then with it those of its items."""
    reader = open_stream()
    reader.feed(CREATED + IN_PROGRESS)
    stored = reader._ask.stored
    assert stored is not None
    assert (stored.id, stored.provider, stored.item_ids) == ("resp_1", "", ())
    reader.feed(said("Hi") + ITEM_DONE + COMPLETED)
    stored = reader._ask.stored
    assert stored is not None
    assert stored.item_ids == ("rs_1", "msg_1")


@pytest.mark.parametrize(
    ("asked", "told"),
    [({"store": b"false"}, {"store": True}), ({}, {"store": False})],
    ids=["asked", "told"],
)
def test_what_is_not_kept_is_not_noted(asked: dict[str, bytes], told: dict[str, Any]) -> None:
    """Because the client has said so, or because the provider says that it never keeps anything."""
    _, reader = read(event("response.created", response=response("in_progress", **told)), **asked)
    assert reader._ask.stored is None
