"""Tests of `proxy/wire/openai_stream.py`."""

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.domain.errors import (
    ProxyError,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.json_text import MAX_VALUES
from proxy.wire.openai_stream import OpenAIStream
from tests.wire.chunks import (
    DONE,
    HI,
    REGULAR,
    ROLE,
    STOP,
    USAGE,
    USAGE_EVENT,
    chunk,
    event,
    usage_chunk,
)
from tests.wire.splits import cut, cuts, every_cut, read_all

CAP = 1 << 20


def open_stream(cap: int = CAP, repair: Any = None, **asked: Any) -> OpenAIStream:
    return OpenAIStream(Ask("chat", "m", {}, streams=True, **asked), cap, repair)


def read(stream: bytes, **asked: Any) -> tuple[bytes, OpenAIStream]:
    reader = open_stream(**asked)
    return read_all(reader, [stream]), reader


class Identity:
    """A Repair that changes nothing, so that events are written anew."""

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        return value

    def finish(self) -> dict[str, Any] | None:
        return None


class Holding(Identity):
    """A Repair that gives its text only at the end."""

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        for choice in value["choices"]:
            choice["delta"] = {}
        return value

    def finish(self) -> dict[str, Any] | None:
        return chunk({"content": "held"})


# --- passing on -------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [{}, {"wants_usage": True}], ids=["no usage", "usage"])
def test_a_regular_stream_passes_byte_by_byte(asked: dict[str, Any]) -> None:
    """What needs no change leaves as the very bytes that it came as."""
    stream = REGULAR + (USAGE_EVENT if asked else b"") + DONE
    out, reader = read(stream, **asked)
    assert out == stream
    assert reader.is_over and reader.is_complete and reader.error is None


def test_any_cut_gives_the_same_output() -> None:
    """Cut at every place, also inside a character, the client gets the same bytes."""
    stream = REGULAR + USAGE_EVENT + DONE
    for pieces in every_cut(stream):
        reader = open_stream()
        assert read_all(reader, pieces) == REGULAR + DONE
        assert reader.usage == Usage(3, 4)


EVENTS = st.sampled_from(
    [
        ROLE,
        HI,
        HI,
        STOP,
        USAGE_EVENT,
        DONE,
        b": keep-alive\n\n",
        b"data:\n\n",
        b"event: error\ndata: {}\n\n",
        b"data: {broken\n\n",
        b"\r\n\r\n",
        event(chunk({"content": "b"}, index=1)),
        event(chunk({}, "stop", index=1)),
        event(chunk({"content": "x"}, usage=USAGE)),
        event({"error": {"message": "m", "code": 503}}),
        event({"object": "error", "message": "m"}),
        event({"choices": None}),
        event([]),
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
        b"data: " + b"x" * 600 + b"\n\n",
    ]
)
STREAMS = st.lists(EVENTS, max_size=8).map(b"".join)

FIELDS = st.sampled_from(
    [b": comment \xc3\xa9", b"id: 7", b"retry: 10", b"event: message", b"unknown", b":", b"id"]
)


@st.composite
def dressed_streams(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Return a stream of valid events as LF lines, and in any dress that means the same."""
    plain, dressed = [], [draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))]
    for block in draw(st.lists(EVENTS.filter(_is_one_event), max_size=6)):
        end = draw(st.sampled_from([b"\n", b"\r", b"\r\n"]))
        data = block.removeprefix(b"data: ").removesuffix(b"\n\n")
        # Between two tokens of JSON a line end is a blank, so an event may be cut there.
        lines = data.split(b", ") if draw(st.booleans()) and data != b"[DONE]" else [data]
        data_lines = [b"data:%b%b" % (draw(st.sampled_from([b"", b" "])), lines[0])]
        data_lines += [b"data: ," + line for line in lines[1:]]
        fields = draw(st.lists(FIELDS, max_size=2))
        dressed += [line + end for line in (*fields, *data_lines)]
        dressed.append(end * draw(st.integers(1, 3)))
        plain.append(block)
    return b"".join(plain), b"".join(dressed)


def _is_one_event(block: bytes) -> bool:
    return block.startswith(b"data: ") and b"\xff" not in block and len(block) < 500


def told(out: bytes) -> list[object]:
    """What a client reads: the values of the events, `[DONE]` and all."""
    lines = [line.removeprefix(b"data: ") for line in out.split(b"\n\n")[:-1]]
    return [line if line == b"[DONE]" else json.loads(line) for line in lines]


@given(dressed_streams(), st.data())
def test_any_dress_and_any_split_of_a_stream_mean_the_same(
    streams: tuple[bytes, bytes], data: st.DataObject
) -> None:
    """CR, LF, CRLF, byte order mark, comments, other fields, several lines: one meaning."""
    plain, dressed = streams
    expected, whole, split = open_stream(cap=2000), open_stream(cap=2000), open_stream(cap=2000)
    meant = told(read_all(expected, [plain]))
    out = read_all(whole, [dressed])
    assert told(out) == meant
    assert read_all(split, data.draw(cuts(dressed))) == out
    for reader in (whole, split):
        assert type(reader.error) is type(expected.error)
        assert reader.usage == expected.usage
        assert reader.event_count == expected.event_count
        assert reader.estimate_usage() == expected.estimate_usage()


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("repair", [None, "identity"])
def test_every_single_cut_of_a_dressed_stream_gives_the_same(
    end: bytes, repair: str | None
) -> None:
    """A stream with everything in it, cut at each byte, also inside of characters and line ends."""
    text = "\u00e9\u2013\U0001f600"
    pretty = json.dumps(chunk({"content": text}), ensure_ascii=False, indent=0).encode()
    broken = event(chunk({"content": "?"})).replace(b"?", b"a\xf0\x9f\x98").removesuffix(b"\n\n")
    lines = [
        b"\xef\xbb\xbf: hello",
        b"",
        b"event: message",
        b"id: 1",
        *(b"data: " + line for line in pretty.split(b"\n")),
        b"retry: 5",
        b"",
        broken,
        b"",
        b"",
        b"data:" + event(chunk({}, "stop", usage=USAGE))[6:].rstrip(),
        b"",
        b"data:[DONE]",
        b"",
        b"",
    ]
    stream = end.join(lines)
    results = set()
    for pieces in every_cut(stream):
        reader = open_stream(repair=Identity() if repair else None)
        out = read_all(reader, pieces)
        assert (reader.error, reader.anomalies) == (None, {"utf8_replaced"})
        assert reader.usage == Usage(3, 4)
        results.add(out)
    (out,) = results
    values = told(out)
    assert len(values) == 4
    assert values[0]["choices"][0]["delta"] == {"content": text}  # type: ignore[index]
    assert "a\ufffd" in values[1]["choices"][0]["delta"]["content"]  # type: ignore[index]
    assert out.endswith(DONE)


@given(st.data())
def test_any_split_of_any_stream_gives_the_same(data: st.DataObject) -> None:
    """Output, error, usage and completeness do not depend on how bytes were cut."""
    stream = data.draw(STREAMS)
    asked = data.draw(st.fixed_dictionaries({"wants_usage": st.booleans()}))
    whole = open_stream(cap=500, **asked)
    split = open_stream(cap=500, **asked)
    expected = read_all(whole, [stream])
    assert read_all(split, data.draw(cuts(stream))) == expected
    assert type(split.error) is type(whole.error)
    for name in ("usage", "is_complete", "event_count", "has_content", "anomalies"):
        assert getattr(split, name) == getattr(whole, name)
    assert split.estimate_usage() == whole.estimate_usage()


@given(st.data())
def test_reads_of_whole_events_give_the_same(data: st.DataObject) -> None:
    """Reads that are one or several whole events give what the same bytes give one by one."""
    stream = HI + data.draw(STREAMS)
    whole, bytewise = open_stream(cap=500), open_stream(cap=500)
    ends = [match.end() for match in re.finditer(b"\n\n", stream)]
    chosen = data.draw(st.sets(st.sampled_from(ends)))
    out = read_all(whole, cut(stream, [*chosen]))
    assert out == read_all(bytewise, [stream[at : at + 1] for at in range(len(stream))])
    assert type(whole.error) is type(bytewise.error)
    for name in ("usage", "is_complete", "event_count", "has_said_more", "anomalies"):
        assert getattr(whole, name) == getattr(bytewise, name)
    assert whole.estimate_usage() == bytewise.estimate_usage()


def test_a_choice_that_begins_in_mid_stream_must_finish_too() -> None:
    """A choice of a number of its own, in a read behind the first content, is waited for."""
    second = event(chunk({"content": "b"}, index=1))
    reader = open_stream()
    assert read_all(reader, [HI, second, STOP]) == HI + second + STOP
    assert isinstance(reader.error, UpstreamTruncated)


def test_a_broken_character_where_nobody_looks_is_mended_too() -> None:
    """Bytes that are no UTF-8 never leave, also in a field that is not read, in mid-stream."""
    reader = open_stream()
    broken = HI.replace(b"chatcmpl-1", b"chatcmpl-\xff")
    assert (
        read_all(reader, [HI, broken, STOP])
        == HI + broken.replace(b"\xff", "\ufffd".encode()) + STOP + DONE
    )
    assert reader.anomalies == {"utf8_replaced"}


@given(STREAMS, st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=3))
def test_done_is_the_end_of_a_good_stream_only(
    stream: bytes, changes: list[tuple[int, int]]
) -> None:
    """However a stream is damaged: no `[DONE]` with an error, one at the end without."""
    damaged = bytearray(stream)
    for place, byte in changes:
        if damaged:
            damaged[place % len(damaged)] = byte
    out, reader = read(bytes(damaged))
    assert out.count(b"data: [DONE]") == (reader.error is None)
    assert out.endswith(DONE) == (reader.error is None)
    assert reader.is_complete == (reader.error is None)
    for line in out.split(b"\n\n")[:-1]:
        assert line == b"data: [DONE]" or isinstance(json.loads(line[6:]), dict)


@given(st.integers(0, len(REGULAR) - 1))
def test_a_stream_that_is_cut_is_never_delivered_as_whole(length: int) -> None:
    """Cut anywhere before its finish reason is whole, a stream ends in an error."""
    cut_stream = REGULAR[:length]
    out, reader = read(cut_stream)
    is_whole = length >= len(REGULAR) - 2
    assert (reader.error is None) == is_whole
    assert out.endswith(DONE) == is_whole
    if not is_whole:
        assert type(reader.error) is UpstreamTruncated


# --- commit point -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "H"},
        {"content": " "},
        {"content": [{"type": "text", "text": "H"}]},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]},
        {"function_call": {"name": "f"}},
        {"reasoning_content": "h"},
        {"reasoning": "h"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "h"}]},
        {"refusal": "no"},
        {"audio": {"id": "a"}},
        {"images": [{"type": "image_url"}]},
    ],
    ids=lambda delta: next(iter(delta)),
)
def test_content_of_every_kind_is_the_commit_point(delta: dict[str, Any]) -> None:
    """The first event that a person could see or act on commits, and not one before it."""
    reader = open_stream()
    reader.feed(ROLE)
    assert not reader.has_content
    reader.feed(event(chunk({"role": "assistant"} | delta)))
    assert reader.has_content


def test_text_of_a_completion_is_content() -> None:
    """Legacy completions carry their text beside the delta."""
    reader = open_stream()
    reader.feed(event({"choices": [{"index": 0, "text": "", "finish_reason": None}]}))
    assert not reader.has_content
    reader.feed(event({"choices": [{"index": 0, "text": "H", "finish_reason": None}]}))
    assert reader.has_content


def test_a_finish_reason_is_the_commit_point_of_an_empty_answer() -> None:
    """An answer without content is still an answer once it has ended."""
    out, reader = read(ROLE + STOP)
    assert reader.has_content
    assert out == ROLE + STOP + DONE


@pytest.mark.parametrize(
    "value",
    [
        chunk({"role": "assistant"}),
        chunk({"content": ""}),
        chunk({"content": None, "tool_calls": [], "reasoning": "", "audio": None}),
        chunk({}, ""),
        usage_chunk(),
        {"choices": [{"index": 0}]},
        {"choices": [{"index": 0, "delta": None, "text": None}]},
        {"choices": []},
        {"choices": None},
        {},
    ],
    ids=str,
)
def test_what_shows_nothing_does_not_commit(value: dict[str, Any]) -> None:
    """Roles, empty texts and usage alone leave failover open."""
    reader = open_stream()
    reader.feed(event(value) + b": comment\n\n")
    assert not reader.has_content


# --- completion rule --------------------------------------------------------------------------


def test_the_end_of_the_body_after_the_finish_gets_its_done() -> None:
    """A server that closes without `[DONE]` has answered completely."""
    out, reader = read(REGULAR)
    assert out == REGULAR + DONE
    assert reader.error is None


def test_done_ends_an_answer_that_was_never_finished() -> None:
    """Servers without finish reasons end with the terminal event alone."""
    out, reader = read(HI + DONE)
    assert out == HI + DONE
    assert reader.is_complete


@pytest.mark.parametrize(
    "stream", [b"", DONE, ROLE, ROLE + DONE, ROLE + USAGE_EVENT + DONE, b": ping\n\n", b"\n"]
)
def test_an_empty_stream_is_truncated(stream: bytes) -> None:
    """A stream without any content is no answer, also with `[DONE]`."""
    out, reader = read(stream)
    assert type(reader.error) is UpstreamTruncated
    assert DONE not in out
    assert not reader.has_content


def test_every_choice_that_was_asked_for_must_finish() -> None:
    """With `n` 2 one finish reason is half an answer."""
    one = HI + STOP
    two = event(chunk({"content": "b"}, index=1)) + event(chunk({}, "stop", index=1))
    assert type(read(one, choices=2)[1].error) is UpstreamTruncated
    assert read(one + two, choices=2)[0] == one + two + DONE


def test_every_choice_that_began_must_finish() -> None:
    """A choice left open is a truncation, also where `[DONE]` says otherwise."""
    open_choice = HI + event(chunk({"content": "b"}, index=1)) + STOP
    for stream in (open_choice, open_choice + DONE):
        out, reader = read(stream)
        assert out == open_choice
        assert type(reader.error) is UpstreamTruncated


@pytest.mark.parametrize(
    "rest", [b"data: [DO", b'data: {"id":', b"data", b"dat", b": com", b"\xff"]
)
def test_a_rest_behind_a_complete_answer_is_let_go(rest: bytes) -> None:
    """What was cut behind the last finish reason takes nothing away."""
    out, reader = read(REGULAR + rest)
    assert out == REGULAR + DONE
    assert reader.error is None


@pytest.mark.parametrize("last", [STOP, DONE])
def test_a_last_event_without_its_blank_line_counts(last: bytes) -> None:
    """Some servers end their last event with the end of the body."""
    out, reader = read(HI + last.rstrip(b"\n"))
    assert reader.error is None
    assert out.endswith(DONE)


def test_what_comes_after_done_is_not_read() -> None:
    """Nothing behind the terminal event reaches the client, in this piece or a later one."""
    reader = open_stream()
    assert reader.feed(HI + DONE + HI + b"data: {broken\n\n") == HI + DONE
    assert reader.feed(HI) == b""
    assert reader.finish() == b""
    assert reader.error is None


def test_done_may_have_blanks_around_it() -> None:
    """`[DONE]` is known with one blank more and with text behind it."""
    for done in (b"data:  [DONE] \n\n", b"data:[DONE]\n\n", b"data: [DONE] bye\n\n"):
        assert read(HI + done)[0] == HI + DONE


@pytest.mark.parametrize("index", [-1, 65_536, 2**40])
def test_a_choice_out_of_all_bounds_is_malformed(index: int) -> None:
    """A provider cannot fill our memory with numbers of choices."""
    assert type(read(event(chunk({"content": "x"}, index=index)))[1].error) is UpstreamProtocolError


# --- usage ------------------------------------------------------------------------------------


def test_usage_is_noted_and_kept_from_who_did_not_ask() -> None:
    """The usage chunk is left out; the counts are known."""
    out, reader = read(REGULAR + USAGE_EVENT + DONE)
    assert out == REGULAR + DONE
    assert reader.usage == Usage(3, 4)


def test_usage_on_the_finish_chunk_moves_to_a_chunk_of_its_own() -> None:
    """Who asked gets it once, behind the last choice and before `[DONE]`."""
    finish = chunk({}, "stop", usage=USAGE, x_groq={"id": "r"})
    for end in (DONE, b""):
        out, reader = read(HI + event(finish) + end, wants_usage=True)
        values = [json.loads(line[6:]) for line in out.split(b"\n\n")[1:-2]]
        assert out.endswith(DONE)
        del finish["usage"]
        assert values == [finish, finish | {"choices": [], "usage": USAGE}]
        finish["usage"] = USAGE
        assert reader.usage == Usage(3, 4)


def test_usage_on_the_finish_chunk_is_taken_off_for_who_did_not_ask() -> None:
    """The finish reason stays, the usage goes."""
    out, _ = read(HI + event(chunk({}, "stop", usage=USAGE)) + DONE)
    assert b"usage" not in out.removeprefix(HI)
    assert b'"finish_reason": "stop"' in out


def test_usage_in_every_chunk_is_given_once_at_the_end() -> None:
    """Of cumulative counts the last are the client's and ours."""
    counts = [USAGE | {"completion_tokens": count} for count in (1, 2, 3)]
    stream = b"".join(event(chunk({"content": "x"}, usage=count)) for count in counts)
    stream += event(chunk({}, "stop", usage=counts[-1]))
    out, reader = read(stream, wants_usage=True)
    assert out.count(b'"usage"') == 1
    last = json.loads(out.split(b"\n\n")[-3][6:])
    assert (last["choices"], last["usage"]) == ([], counts[-1])
    assert reader.usage == Usage(3, 3)


def test_continuous_usage_passes_where_it_was_asked_for() -> None:
    """With `continuous_usage_stats` every chunk goes byte by byte."""
    stream = event(chunk({"content": "x"}, "stop", usage=USAGE)) + USAGE_EVENT + DONE
    assert read(stream, wants_usage=True, keeps_chunk_usage=True)[0] == stream


def test_a_usage_chunk_behind_one_with_choices_is_the_one_that_is_given() -> None:
    """The client never gets usage twice for a provider that reports it twice."""
    stream = HI + event(chunk({}, "stop", usage=USAGE)) + USAGE_EVENT + DONE
    out, _ = read(stream, wants_usage=True)
    assert out.count(b'"usage": {') == 1


@pytest.mark.parametrize(
    ("reports", "usage"),
    [
        (
            [
                {"prompt_tokens": 1, "completion_tokens": 1},
                {"prompt_tokens": 2, "completion_tokens": 2},
            ],
            Usage(2, 2),
        ),
        ([{"prompt_tokens": 1, "completion_tokens": 1}, {"prompt_tokens": -5}], Usage(1, 1)),
        ([{"prompt_tokens": 10**18}], None),
        ([{"prompt_tokens": 0, "completion_tokens": 0}], Usage(0, 0)),
        ([{"prompt_tokens": 5, "completion_tokens": 5}, None], Usage(5, 5)),
        ([5, "x", []], None),
    ],
    ids=str,
)
def test_the_last_valid_report_of_usage_counts(reports: list[object], usage: Usage | None) -> None:
    """Reports that cannot be billed from replace none that can."""
    stream = HI + b"".join(event(usage_chunk(usage=report)) for report in reports) + STOP
    reader = read(stream)[1]
    assert reader.usage == usage
    has_bad_one = usage is None or {"prompt_tokens": -5} in reports
    assert reader.anomalies == ({"usage_anomaly"} if has_bad_one else set())


def test_usage_is_estimated_from_what_was_said_in_all_choices() -> None:
    """Text, one of two names of reasoning, and arguments of calls count; nothing else does."""
    call = {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": "abcd"}}
    stream = (
        ROLE
        + event(chunk({"content": "\u00e9\u00e9"}))
        + event(chunk({"reasoning": "abcd", "reasoning_content": "abcd"}, index=1))
        + event(chunk({"tool_calls": [call]}))
        + event({"choices": [{"index": 2, "text": "abc"}]})
    )
    reader = OpenAIStream(Ask("chat", "m", {"messages": Raw(b"[12345]")}), CAP)
    reader.feed(stream)
    assert reader.estimate_usage() == Usage(2, 4, source="estimated")


def test_a_delta_that_is_an_empty_list_says_nothing() -> None:
    """Some servers write an empty object as an empty list: no fault of the stream's."""
    out, reader = read(HI + event(chunk() | {"choices": [{"index": 0, "delta": []}]}) + STOP)
    assert reader.error is None
    assert out.endswith(DONE)


def test_a_clients_error_in_mid_stream_keeps_the_providers_words_back() -> None:
    """After content only codes that we know are told; before it, the client can mend it."""
    error = {"message": "canary", "param": "canary", "type": "invalid_request_error"}
    bad = event({"error": error | {"code": "content_filter"}})
    late, early = read(HI + bad)[1].error, read(bad)[1].error
    assert isinstance(late, UpstreamRejected) and isinstance(early, UpstreamRejected)
    assert late.message == UpstreamRejected.default_message
    assert late.param is None
    assert late.code == "content_filter"
    assert (early.message, early.param) == ("canary", "canary")
    bad = event({"error": error | {"code": "canary"}})
    late, early = read(HI + bad)[1].error, read(bad)[1].error
    assert late is not None and early is not None
    assert (late.code, early.code) == (None, "canary")


def test_an_event_of_very_many_parts_is_refused() -> None:
    """What would fill our memory with millions of objects is not taken apart."""
    bad = b'data: {"choices":[{"delta":{"content":[' + b"[]," * (MAX_VALUES + 1) + b"0]}}]}\n\n"
    reader = OpenAIStream(Ask("chat", "m", {}), 16 * CAP)
    assert reader.feed(HI + bad) == HI
    assert isinstance(reader.error, UpstreamTooLarge)


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (event({"error": {"message": "canary", "code": 503}}), UpstreamOverloaded),
        (event({"error": "canary"}), UpstreamServerError),
        (event({"error": {"message": "m", "type": "invalid_request_error"}}), UpstreamRejected),
        (
            event(chunk({"content": ""}, "error") | {"error": {"message": "canary", "code": 502}}),
            UpstreamServerError,
        ),
        (event(chunk({}, "error")), UpstreamServerError),
        (event({"object": "error", "message": "canary", "code": 500}), UpstreamServerError),
        (
            b'event: error\ndata: {"error":{"message":"canary","type":"overloaded_error"}}\n\n',
            UpstreamOverloaded,
        ),
        (b"event: error\ndata: canary\n\n", UpstreamServerError),
        (b"data: {canary\n\n", UpstreamProtocolError),
        (b"data: canary\n\n", UpstreamProtocolError),
        (b"data: 5\n\n", UpstreamProtocolError),
        (b"data: [1]\n\n", UpstreamProtocolError),
        (b"data: <html>canary</html>\n\n", UpstreamProtocolError),
        (b'data: {"choices":{}}\n\n', UpstreamProtocolError),
        (b'data: {"choices":[{"finish_reason":7}]}\n\n', UpstreamProtocolError),
        (b'data: {"choices":[{"delta":{"content":NaN}}]}\n\n', UpstreamProtocolError),
        (b'data: {"a":"x\ndata: canary"}\n\n', UpstreamProtocolError),
        (b"data: " + b"[" * 5000 + b"]" * 5000 + b"\n\n", UpstreamProtocolError),
        (b'data: {"error":' + b"[" * 5000 + b"]" * 5000 + b"}\n\n", UpstreamProtocolError),
        (
            event(chunk({"content": "x"}) | {"usage": {"x": [[[[]]]]}})[:-2] + b" x\n\n",
            UpstreamProtocolError,
        ),
        (b"data: " + b"x" * 20_001 + b"\n\n", UpstreamTooLarge),
    ],
    ids=lambda value: repr(value[:50]) if isinstance(value, bytes) else value.__name__,
)
@pytest.mark.parametrize("repair", [None, Identity()], ids=["pass", "repair"])
def test_what_was_good_before_an_error_is_delivered(
    bad: bytes, kind: type[ProxyError], repair: Any
) -> None:
    """Events before the bad one pass, none after it, no `[DONE]`, none of the bad one's bytes."""
    reader = open_stream(cap=20_000, repair=repair)
    out = reader.feed(ROLE + HI + bad + HI + DONE)
    assert [json.loads(line[6:]) for line in out.split(b"\n\n")[:-1]] == [
        json.loads(line[6:]) for line in (ROLE + HI).split(b"\n\n")[:-1]
    ]
    assert b"canary" not in out
    assert type(reader.error) is kind
    assert not reader.is_complete
    assert reader.feed(HI + DONE) == reader.finish() == b""


def test_an_error_event_as_the_last_words_is_heard() -> None:
    """An error without its blank line is an error, not a truncation."""
    out, reader = read(HI + event({"error": {"message": "m", "code": 503}}).rstrip(b"\n"))
    assert out == HI
    assert type(reader.error) is UpstreamOverloaded


@pytest.mark.parametrize("repair", [None, Identity()], ids=["pass", "repair"])
@pytest.mark.parametrize("broken", [b"caf\xc3", b"\xed\xa0\x80", rb"\ud83d", rb"\\\udc00"])
def test_a_broken_character_costs_one_sign_and_not_the_stream(broken: bytes, repair: Any) -> None:
    """Bytes and escapes that are no character become U+FFFD, before and after the commit."""
    stream = (HI + HI).replace(b"Hi", broken) + STOP + DONE
    reader = open_stream(repair=repair)
    out = read_all(reader, [stream])
    assert reader.error is None
    assert reader.event_count == 3
    assert reader.anomalies == {"utf8_replaced"}
    texts = [json.loads(line[6:])["choices"][0]["delta"] for line in out.split(b"\n\n")[:2]]
    assert all("\ufffd" in delta["content"] for delta in texts)


@pytest.mark.parametrize("ping", [b"data:\n\n", b"data: \n\n", b"data: \ndata:\n\n", b": x\n\n"])
def test_signs_of_life_are_neither_events_nor_errors(ping: bytes) -> None:
    """Empty events and comments are not passed on and count for no clock."""
    reader = open_stream()
    assert reader.feed(ping + HI + ping) == HI
    assert reader.event_count == 1


def test_an_event_over_several_lines_leaves_on_one() -> None:
    """Line ends between tokens become blanks; the meaning is the same."""
    text = json.dumps(chunk({"content": "Hi"}), indent=1)
    stream = b"".join(b"data: " + line.encode() + b"\n" for line in text.split("\n")) + b"\n"
    out, _ = read(stream + STOP)
    first = out.split(b"\n\n")[0]
    assert b"\n" not in first
    assert json.loads(first[6:]) == chunk({"content": "Hi"})


def test_other_names_of_events_are_left_out() -> None:
    """`event:`, `id:` and `retry:` do not reach clients of chat, which know none."""
    named = b"event: message\nid: 1\nretry: 5\n" + HI
    assert read(named + STOP)[0] == HI + STOP + DONE


def test_text_that_a_repair_holds_back_comes_before_done() -> None:
    """Nothing that was held for a tag is lost where no finish reason fetched it."""
    reader = open_stream(repair=Holding())
    out = read_all(reader, [HI + DONE])
    assert b'"held"' in out
    assert out.endswith(DONE)
    assert reader.error is None


def test_a_long_event_in_small_pieces_is_quick() -> None:
    """4 MB of one event in pieces of 1 KB are no denial of service."""
    reader = open_stream(cap=8 << 20)
    started_s = time.process_time()
    text = event(chunk({"content": "x" * (4 << 20)}))
    for start in range(0, len(text), 1024):
        reader.feed(text[start : start + 1024])
    assert reader.has_content
    assert time.process_time() - started_s < 2.0
