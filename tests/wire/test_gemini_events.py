"""Tests of `proxy/wire/gemini_events.py`."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.domain import errors as e
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Counted,
    Event,
    Finished,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.usage import Usage
from proxy.wire.gemini_events import GeminiEvents, read_gemini_events
from tests.wire.gemini_answers import (
    USAGE,
    answer,
    call,
    candidate,
    read,
    said,
    stream,
    text,
)
from tests.wire.splits import cuts, every_cut

STARTED = Started("r1", "gemini-3-flash")
COUNTED = Counted(Usage(29, 819, reasoning_tokens=804))
REGULAR = stream(
    said(text("Hm", thought=True), usageMetadata={"trafficType": "ON_DEMAND"}),
    said(text("Hé", thoughtSignature="c2ln"), usageMetadata={"promptTokenCount": 29}),
    said(call("f", {"x": "é"}, id="i1"), finish="STOP", usageMetadata=USAGE),
)
REGULAR_EVENTS: list[Event] = [
    STARTED,
    Thinking("Hm", "gemini"),
    ThoughtEnded("gemini", "c2ln"),
    Said("Hé"),
    Counted(Usage(29, 0)),
    CallStarted(0, "i1", "f"),
    CallArguments(0, '{"x":"é"}'),
    CallEnded(0),
    COUNTED,
    Finished("tool_calls", raw="STOP"),
]


def test_every_split_gives_the_same_events() -> None:
    """Wherever the bytes are cut, also within a character, the answer is the same."""
    for pieces in every_cut(REGULAR):
        assert read(*pieces) == (REGULAR_EVENTS, None)


@settings(max_examples=50, deadline=None)
@given(cuts(REGULAR.replace(b"\r\n", b"\n")))
def test_any_split_gives_the_same_events(pieces: list[bytes]) -> None:
    """Line ends make no difference either."""
    assert read(*pieces) == (REGULAR_EVENTS, None)


def test_nothing_but_the_end_of_the_body_ends_it() -> None:
    """Some backends say with every event that they have finished: only the last word counts."""
    reader = GeminiEvents(1, 1 << 20)
    assert reader.feed(stream(said(text("a"), finish="STOP"))) == [STARTED, Said("a")]
    assert reader.feed(stream(said(text("b"), finish="MAX_TOKENS"))) == [Said("b")]
    assert not reader.is_over and reader.event_count == 2
    assert reader.may_end  # should it break now, nothing is missing
    assert reader.finish() == [Finished("length", raw="MAX_TOKENS")]
    assert reader.is_over and reader.error is None
    assert reader.feed(stream(said(text("c")))) == reader.finish() == []


def test_a_whole_answer_gives_the_same_events_as_a_stream() -> None:
    """All parts in one body, indented as Google does, come out alike."""
    value = said(
        text("Hm", thought=True),
        text("Hé", thoughtSignature="c2ln"),
        call("f", {"x": "é"}, id="i1"),
        finish="STOP",
        usageMetadata=USAGE,
    )
    body = json.dumps(value, indent=2, ensure_ascii=False).encode()
    events, anomalies = read_gemini_events(body, 1)
    expected = [event for event in REGULAR_EVENTS if event != Counted(Usage(29, 0))]
    assert (events, anomalies) == (expected, ())


def test_a_stream_that_came_as_a_list_is_read() -> None:
    """Without `alt=sse` all events are one list."""
    body = json.dumps([said(text("a")), said(text("b"), finish="STOP")]).encode()
    assert read_gemini_events(body, 1)[0] == [
        STARTED,
        Said("a"),
        Said("b"),
        Finished("stop", raw="STOP"),
    ]


def test_several_candidates_are_told_apart() -> None:
    """Each has its own calls and its own end, in the order of their indices."""
    events, error = read(
        stream(
            answer(candidate(text("a"), index=1), candidate(call("f", {}, id="i"))),
            answer(candidate(finish="STOP", index=1), candidate(finish="STOP")),
        ),
        choices=2,
    )
    assert error is None
    assert Said("a", choice=1) in events
    assert events[-2:] == [
        Finished("tool_calls", 0, raw="STOP"),
        Finished("stop", 1, raw="STOP"),
    ]


@pytest.mark.parametrize("places", range(len(stream(said(text("a")))) + 1))
def test_a_stream_that_is_cut_is_no_success(places: int) -> None:
    """Without its last event it is truncated, wherever in it the bytes end."""
    last = stream(said(text("b"), finish="STOP"))
    events, error = read(stream(said(text("a"))) + last[: min(places, len(last) - 6)])
    assert events[:2] == [STARTED, Said("a")]
    assert isinstance(error, e.UpstreamTruncated)
    assert not any(isinstance(event, Finished) for event in events)


@pytest.mark.parametrize(
    ("data", "choices"),
    [
        (b"", 1),
        (stream(said(text("a"), finish="STOP")), 2),
        (stream(answer(candidate(text("a"), finish="STOP"), candidate(text("b"), index=1))), 2),
        (stream(said(text("a"), usageMetadata=USAGE)), 1),
        (stream({"usageMetadata": USAGE}), 1),
        (b": comment\n\n", 1),
    ],
)
def test_an_answer_without_all_its_ends_is_truncated(data: bytes, choices: int) -> None:
    """Each candidate that was asked for, and each that began, must have said why it ended."""
    assert isinstance(read(data, choices=choices)[1], e.UpstreamTruncated)
    reader = GeminiEvents(choices, 1 << 20)
    reader.feed(data)
    assert not reader.may_end


@pytest.mark.parametrize("word", ["SAFETY", "PROHIBITED_CONTENT", "OTHER"])
def test_a_prompt_that_is_refused_is_an_empty_answer_that_was_filtered(word: str) -> None:
    """Google answers it with 200 and no candidate; each choice that was asked for ends so."""
    value = {"promptFeedback": {"blockReason": word}, "usageMetadata": {"promptTokenCount": 4}}
    expected = [
        Started(),
        Counted(Usage(4, 0)),
        Finished("content_filter", 0, raw=word),
        Finished("content_filter", 1, raw=word),
    ]
    assert read(stream(value), choices=2) == (expected, None)
    assert read_gemini_events(json.dumps(value).encode(), 2)[0] == expected


def test_ratings_of_a_prompt_are_no_refusal() -> None:
    """Feedback without a reason, or beside an answer, changes nothing."""
    feedback: dict[str, Any] = {"safetyRatings": []}
    events, error = read(stream(said(text("a"), finish="STOP", promptFeedback=feedback)))
    assert error is None and events[-1] == Finished("stop", raw="STOP")


def test_filtered_on_the_way_it_ends_as_filtered() -> None:
    """What was said before stays said."""
    events, error = read(stream(said(text("a")), said(finish="SAFETY")))
    assert events[1:] == [Said("a"), Finished("content_filter", raw="SAFETY")]
    assert error is None


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "MISSING_THOUGHT_SIGNATURE"])
def test_an_answer_that_came_to_nothing_is_an_error(word: str) -> None:
    """Another attempt may help, thoughts are no answer, and one client's tools are no outage."""
    for parts in ((), (text("Hm", thought=True),)):
        events, error = read(stream(said(*parts, finish=word)))
        assert type(error) is e.UpstreamError
        assert error.code == "upstream_unusable_answer" and error.may_retry
        assert not any(isinstance(event, Finished) for event in events)
    events, error = read(stream(said(text("a")), said(finish=word)))
    assert error is None and events[-1] == Finished("stop", raw=word)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"code": 503, "message": "m", "status": "UNAVAILABLE"}, e.UpstreamOverloaded),
        ({"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}, e.UpstreamRateLimited),
        ({"message": "m", "status": "INTERNAL"}, e.UpstreamServerError),
        ({"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}, e.UpstreamRejected),
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_an_error_inside_a_stream_is_one(
    value: dict[str, Any], kind: type[e.ProxyError], is_wrapped: bool
) -> None:
    """It may stand in a list of one, and what came before it has been told."""
    event: Any = [{"error": value}] if is_wrapped else {"error": value}
    events, error = read(stream(said(text("a")), event, said(text("b"), finish="STOP")))
    assert events == [STARTED, Said("a")]
    assert type(error) is kind
    assert error.message != "m"
    with pytest.raises(kind):
        read_gemini_events(json.dumps(event).encode(), 1)


def test_a_wait_is_read_from_an_error_inside_a_stream() -> None:
    """Google tells it in the body."""
    details = [{"@type": "google.rpc.RetryInfo", "retryDelay": "34.4s"}]
    value = {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details}
    error = read(stream({"error": value}))[1]
    assert isinstance(error, e.UpstreamRateLimited) and error.retry_after_s == 34.4


def test_before_anything_was_said_a_refusal_is_told_in_googles_words() -> None:
    """The client can mend its request as long as nothing of an answer has gone out."""
    value = {"code": 400, "message": "bad schema", "status": "INVALID_ARGUMENT"}
    error = read(stream({"error": value}))[1]
    assert isinstance(error, e.UpstreamRejected) and error.message == "bad schema"


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n",
        b"data: 5\n\n",
        b"data: <html>\n\n",
        b'data: {"candidates":5}\n\n',
        b'data: {"candidates":[{"content":{"parts":[{"text":5}]}}]}\n\n',
        b'data: {"candidates":[{"index":-1}]}\n\n',
        b"data: " + b"[" * 5000 + b"]" * 5000 + b"\n\n",
    ],
)
def test_what_is_not_geminis_is_refused(data: bytes) -> None:
    """Events that cannot be read break the answer, and nothing raises."""
    events, error = read(stream(said(text("a"))) + data)
    assert events == [STARTED, Said("a")]
    assert isinstance(error, e.UpstreamProtocolError)


@pytest.mark.parametrize("body", [b"", b"null", b"5", b"<html>", b"[]", b"{}", b"[5]"])
def test_a_body_that_is_not_geminis_is_refused(body: bytes) -> None:
    """Whatever else comes as a whole answer raises an error of the provider's."""
    with pytest.raises(e.UpstreamError):
        read_gemini_events(body, 1)


def test_broken_characters_are_mended() -> None:
    """One of them costs no client its answer, and is told of."""
    data = stream(said(text("aXb"), finish="STOP")).replace(b"X", b"\xff")
    reader = GeminiEvents(1, 1 << 20)
    assert reader.feed(data)[1] == Said("a\ufffdb")
    assert reader.anomalies == {"utf8_replaced"}
    body = data.removeprefix(b"data: ")
    assert read_gemini_events(body, 1)[1] == ("utf8_replaced",)


@pytest.mark.parametrize("usage", [{"promptTokenCount": -1}, {"promptTokenCount": "x"}, 5])
def test_counts_that_cannot_be_billed_from_are_set_aside(usage: Any) -> None:
    """The answer is good all the same."""
    value = {**said(text("a"), finish="STOP"), "usageMetadata": usage}
    reader = GeminiEvents(1, 1 << 20)
    events = reader.feed(stream(value)) + reader.finish()
    assert reader.error is None and not any(isinstance(event, Counted) for event in events)
    assert reader.anomalies == {"usage_anomaly"}


def test_an_event_has_a_cap() -> None:
    """One that is larger, or has too many parts, ends the stream; those before it are told."""
    good = stream(said(text("a")))
    events, error = read(good + stream(said(text("x" * 2000))), max_event_bytes=1000)
    assert events == [STARTED, Said("a")] and isinstance(error, e.UpstreamTooLarge)
    many = b'data: {"candidates":[' + b"{}," * 2_000_000 + b"{}]}\n\n"
    events, error = read(good + many, max_event_bytes=1 << 26)
    assert events == [STARTED, Said("a")] and isinstance(error, e.UpstreamTooLarge)


def test_a_whole_answer_has_a_cap_that_blames_nobody() -> None:
    """Who asks for the probabilities of a long answer has no provider taken for a bad one."""
    body = b'{"candidates":[' + b"{}," * 2_000_000 + b"{}]}"
    with pytest.raises(e.UpstreamTooLarge) as caught:
        read_gemini_events(body, 1)
    assert caught.value.code == "answer_too_large"


def test_a_candidate_that_nobody_has_asked_for_is_passed_over() -> None:
    """It is neither told nor waited for."""
    extra = candidate(text("b"), index=1)
    events, error = read(stream(answer(candidate(text("a"), finish="STOP"), extra)))
    assert events == [STARTED, Said("a"), Finished("stop", raw="STOP")]
    assert error is None


def test_empty_events_are_signs_of_life() -> None:
    """They are no answer and no fault."""
    events, error = read(b"data: \n\n" + stream(said(text("a"), finish="STOP")))
    assert error is None and events[:2] == [STARTED, Said("a")]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(REGULAR)))
def test_nothing_ever_raises(noise: bytes, place: int) -> None:
    """Whatever stands in a stream, the reader tells an error or an end."""
    events, error = read(REGULAR[:place] + noise + REGULAR[place:])
    assert (error is None) == any(isinstance(event, Finished) for event in events)


@pytest.mark.parametrize("data", [b'{"code":503,"message":"x"}', b'{"code":503', b"overloaded"])
def test_an_event_by_the_name_of_error_is_one(data: bytes) -> None:
    """Gateways name it so; also behind an end that has been told it makes no success."""
    out, error = read(
        stream(said(text("a"), finish="STOP")) + b"event: error\ndata: " + data + b"\n\n"
    )
    assert Said("a") in out and not any(isinstance(event, Finished) for event in out)
    assert isinstance(error, e.UpstreamError)


def test_a_long_id_is_not_said() -> None:
    """Clients' chunks repeat it: one event of a megabyte must not make all others as large."""
    out, _ = read(stream(answer(responseId="x" * 1000, modelVersion="y" * 1000)))
    assert out[0] == Started()
