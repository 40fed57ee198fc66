"""Each fault of the body sends the bytes that its row says."""

import gzip
import json
import zlib

import pytest

from proxy.simulator.plan import Data, Head
from proxy.simulator.server import RunningSimulator
from tests.simulator.asking import (
    answer_of,
    ask_raw,
    body_of,
    chat_body,
    chat_plan,
    parse_events,
    plan_of,
    text_of,
)


def _stream(fault: str) -> bytes:
    return body_of(chat_plan(f"sim-fault-{fault}", stream=True))


def _good_text() -> str:
    """The text that every fault of a stream begins with: the story of this request."""
    return text_of(parse_events(_stream("u34-usage-missing")))


def test_bad_json() -> None:
    """u12-bad-json: one event does not parse, the others do; a whole body is half."""
    frames = _stream("u12-bad-json").split(b"\n\n")[:-2]
    bad = [number for number, frame in enumerate(frames) if not _is_json(frame[6:])]
    assert bad == [3]
    assert not _is_json(body_of(chat_plan("sim-fault-u12-bad-json")))


def test_bad_sse() -> None:
    """u12-bad-sse: after three events no line has a `data:` any more."""
    stream = _stream("u12-bad-sse")
    assert stream.count(b"data: ") == 3
    assert stream.endswith(b"\n\n[DONE]\n\n")


@pytest.mark.parametrize(("fault", "ending"), [("u13-cr", b"\r"), ("u13-crlf", b"\r\n")])
def test_line_endings(fault: str, ending: bytes) -> None:
    """u13-cr, u13-crlf: the good stream with other line ends."""
    stream = _stream(fault)
    assert stream.endswith(b"data: [DONE]" + ending * 2)
    parse_events(stream.replace(ending, b"\n"))


def test_byte_order_mark() -> None:
    """u13-bom: three bytes before a good stream."""
    stream = _stream("u13-bom")
    assert stream.startswith(b"\xef\xbb\xbfdata: {")
    parse_events(stream[3:])


def test_comments() -> None:
    """u13-comments: without its comments the stream is good."""
    stream = _stream("u13-comments")
    assert stream.startswith(b": keep-alive\n\ndata: ")
    parse_events(stream.replace(b": keep-alive\n\n", b""))


def test_other_fields() -> None:
    """u13-fields: every event has the fields that OpenAI's format does not use."""
    stream = _stream("u13-fields")
    parse_events(stream.replace(b"event: message\nid: 7\nretry: 3000\n", b""))


def test_two_data_lines() -> None:
    """u13-two-data-lines: joined as the standard says, the lines are the good JSON."""
    stream = _stream("u13-two-data-lines")
    assert b"data: {\ndata: " in stream
    parse_events(stream.replace(b"{\ndata: ", b"{\n"))


@pytest.mark.parametrize("stream", [True, False])
def test_single_bytes(stream: bool) -> None:
    """u13-single-bytes: the good answer, one byte at a time."""
    plan = chat_plan("sim-fault-u13-single-bytes", stream=stream)
    assert {len(step.chunk) for step in plan.steps if isinstance(step, Data)} == {1}
    if stream:
        parse_events(body_of(plan))
    else:
        answer_of(plan)


@pytest.mark.parametrize("stream", [True, False])
def test_bad_utf8(stream: bool) -> None:
    """u14: the text is not UTF-8, and would be good JSON if it were."""
    body = body_of(chat_plan("sim-fault-u14-bad-utf8", stream=stream))
    with pytest.raises(UnicodeDecodeError):
        body.decode()
    mended = body.decode(errors="replace").encode()
    assert "one bad \ufffd\ufffd byte" in mended.decode()
    if stream:
        parse_events(mended)
    else:
        json.loads(mended)


@pytest.mark.parametrize("stream", [True, False])
def test_huge_line(stream: bool) -> None:
    """u15: one line as long as `@<n>mb` asks, in good JSON."""
    body = body_of(chat_plan("sim-fault-u15-huge-line@2mb", stream=stream))
    assert 2_000_000 < max(map(len, body.split(b"\n"))) < 2_001_500
    if stream:
        parse_events(body)
    else:
        json.loads(body)


@pytest.mark.parametrize("fault", ["u16-gzip", "u16-gzip-bomb@1mb"])
@pytest.mark.parametrize("stream", [True, False])
def test_gzip(fault: str, stream: bool) -> None:
    """u16: a body that says it is gzip and is; the bomb grows by `size_mb` when inflated."""
    plan = chat_plan(f"sim-fault-{fault}", stream=stream)
    head = next(step for step in plan.steps if isinstance(step, Head))
    assert ("content-encoding", "gzip") in head.headers
    packed = body_of(plan)
    inflated = zlib.decompress(packed, wbits=31)
    assert inflated == gzip.decompress(packed)
    if "bomb" in fault:
        assert len(inflated) > 1_000_000 > 50 * (len(packed) - 3000)
    assert b"chatcmpl-" in inflated


def test_html() -> None:
    """u18-html: a 200 that is a page."""
    plan = chat_plan("sim-fault-u18-html", stream=True)
    assert body_of(plan).startswith(b"<!doctype html>")


def test_json_for_a_stream_and_a_stream_for_json() -> None:
    """u18: the answer is good, but of the other kind."""
    whole = answer_of(chat_plan("sim-fault-u18-json-for-sse", stream=True))
    assert whole["choices"][0]["finish_reason"] == "stop"
    events = parse_events(body_of(chat_plan("sim-fault-u18-sse-for-json")))
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


def test_error_in_200() -> None:
    """u19-error-in-200: an error object is all there is."""
    assert set(answer_of(chat_plan("sim-fault-u19-error-in-200", stream=True))) == {"error"}


def test_error_first_and_later() -> None:
    """u19-error-first, u20: the error event comes first or fourth, and nothing after it."""
    for fault, events in (("u19-error-first", 1), ("u20-error-later", 4)):
        frames = _stream(fault).split(b"\n\n")
        assert len(frames) == events + 1
        assert "error" in json.loads(frames[-2][6:])


def test_no_done() -> None:
    """u10-no-done: the answer finishes, only its terminator is missing."""
    stream = _stream("u10-no-done")
    assert b"[DONE]" not in stream
    assert text_of(parse_events(stream + b"data: [DONE]\n\n"))


def test_legacy_completions_are_spoiled_too() -> None:
    """Faults of the text reach legacy completions."""
    body = json.dumps({"model": "sim-fault-u14-bad-utf8", "prompt": "x", "stream": True}).encode()
    assert b"one bad \xff\xfe byte" in body_of(plan_of(body, "/v1/completions"))


async def test_single_bytes_travel_alone(simulator: RunningSimulator) -> None:
    """Over HTTP each byte of u13-single-bytes is a chunk of its own."""
    body = chat_body("sim-fault-u13-single-bytes", stream=True)
    reply = await ask_raw(simulator, body, until=b"\r\n1\r\n{\r\n1\r\n")
    assert b"1\r\nd\r\n1\r\na\r\n1\r\nt\r\n1\r\na\r\n" in reply.wire


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
