"""Tests of `proxy/wire/openai_calls.py`: pieces of calls, in all the ways servers send them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.errors import UpstreamProtocolError, UpstreamTooLarge
from proxy.domain.events import CallArguments, CallEnded, CallStarted, Event
from proxy.wire import openai_calls
from proxy.wire.gathered_answer import gather_answer
from proxy.wire.openai_calls import CallReader


def piece(index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None) -> Any:
    """A piece of a call with the members that are given."""
    function = {"name": name, "arguments": arguments}
    found = {"index": index, "id": call_id}
    return {key: value for key, value in found.items() if value is not None} | {
        "function": {key: value for key, value in function.items() if value is not None}
    }


def read(*pieces: Any, ends: bool = True) -> list[Event]:
    """The events of pieces that come one by one."""
    reader, events = CallReader(0), list[Event]()
    for each in pieces:
        reader.take([each], events)
    if ends:
        reader.finish(events)
    return events


def test_a_streamed_call_is_told_as_it_comes() -> None:
    """The start is told with the name, each piece of arguments at once, the end at the end."""
    pieces = [piece(0, "c", "f", ""), piece(0, arguments='{"a":'), piece(0, arguments="1}")]
    assert read(*pieces, ends=False) == [
        CallStarted(0, "c", "f"),
        CallArguments(0, '{"a":'),
        CallArguments(0, "1}"),
    ]
    assert read(*pieces)[-1] == CallEnded(0)


def test_calls_are_numbered_densely_from_0() -> None:
    """Whatever numbers a provider gives, events count 0, 1, 2."""
    events = read(piece(1, "a", "f", "{}"), piece(5, "b", "g", "{}"))
    assert [event.index for event in events if isinstance(event, CallStarted)] == [0, 1]


@pytest.mark.parametrize("arguments", ["", None, "no member", 7, []])
def test_no_arguments_are_an_empty_object(arguments: Any) -> None:
    """A call of which no text of arguments came ends with `{}`."""
    given_piece = piece(0, "c", "f", arguments)
    if arguments == "no member":
        del given_piece["function"]["arguments"]
    assert read(given_piece) == [CallStarted(0, "c", "f"), CallArguments(0, "{}"), CallEnded(0)]


def test_blanks_alone_are_no_arguments() -> None:
    """Blanks in front of arguments are left out, and where nothing follows they are an object."""
    blank = CallArguments(0, "{}")
    assert blank in read(piece(0, "c", "f", " "), piece(0, arguments="\n"))
    told = [
        each
        for each in read(
            piece(0, "c", "f", " "),
            piece(0, arguments='{"a": '),
            piece(0, arguments=" "),
            piece(0, arguments="1}"),
        )
        if isinstance(each, CallArguments)
    ]
    assert "".join(each.text for each in told) == '{"a":  1}'


def test_arguments_as_a_value_become_their_text() -> None:
    """Some servers send an object instead of its text."""
    events = read(piece(0, "c", "f", {"a": 1}))
    assert events[1] == CallArguments(0, '{"a":1}')


def test_a_call_without_an_id_gets_one() -> None:
    """Clients send the id back, so there always is one."""
    (started, *_) = read(piece(0, None, "f", "{}"))
    assert isinstance(started, CallStarted)
    assert started.id.startswith("call_") and len(started.id) > 20


def test_two_calls_never_have_one_id() -> None:
    """Servers that give each call the same id get another for all but the first."""
    events = read(piece(0, "c", "f", "{}"), piece(1, "c", "g", "{}"))
    first, second = (each.id for each in events if isinstance(each, CallStarted))
    assert first == "c" != second
    assert second.startswith("call_")


def test_without_numbers_a_name_begins_a_call() -> None:
    """Pieces without number and id go on with the last call, until one has a name."""
    events = read(
        piece(name="f", arguments="{"), piece(arguments="}"), piece(name="g", arguments="{}")
    )
    calls = gather_answer(events).choices[0].calls
    assert [(call.name, call.arguments) for call in calls] == [("f", "{}"), ("g", "{}")]


def test_another_id_and_name_under_one_number_is_another_call() -> None:
    """Servers that number every call 0 tell them apart by their ids."""
    events = read(piece(0, "a", "f", '{"x":1}'), piece(0, "b", "g", "{}"))
    calls = gather_answer(events).choices[0].calls
    assert [(call.id, call.arguments) for call in calls] == [("a", '{"x":1}'), ("b", "{}")]


def test_a_repeated_id_is_the_same_call() -> None:
    """Servers that repeat id and name with each piece begin no new call by it."""
    events = read(piece(0, "a", "f", "{"), piece(0, "a", "f", "}"))
    assert events == [
        CallStarted(0, "a", "f"),
        CallArguments(0, "{"),
        CallArguments(0, "}"),
        CallEnded(0),
    ]


def test_a_whole_call_ends_where_the_next_begins() -> None:
    """With its arguments complete, a call is over as soon as another one begins."""
    events = read(piece(0, "a", "f", "{}"), piece(1, "b", "g", ""), ends=False)
    assert events[-2:] == [CallEnded(0), CallStarted(1, "b", "g")]


def test_mixed_pieces_are_told_one_call_after_the_other() -> None:
    """A call that begins while another is not whole waits, and none of its arguments is lost."""
    events = read(
        piece(0, "a", "f", ""),
        piece(1, "b", "g", ""),
        piece(0, arguments='{"x":'),
        piece(1, arguments='{"y":'),
        piece(0, arguments="1}"),
        piece(1, arguments="2}"),
    )
    assert [event for event in events if not isinstance(event, CallArguments)] == [
        CallStarted(0, "a", "f"),
        CallEnded(0),
        CallStarted(1, "b", "g"),
        CallEnded(1),
    ]
    calls = gather_answer(events).choices[0].calls
    assert [call.arguments for call in calls] == ['{"x":1}', '{"y":2}']


def test_a_call_waits_for_its_name() -> None:
    """An id that comes before its name begins the call only with it."""
    assert read(piece(0, "a"), ends=False) == []
    assert read(piece(0, "a"), piece(0, name="f", arguments="{}"))[0] == CallStarted(0, "a", "f")


@pytest.mark.parametrize("named", [piece(0, "a"), piece(0, arguments="{}")])
def test_a_call_without_a_name_is_an_error(named: Any) -> None:
    """Nobody could run it: it is no part of an answer that is whole."""
    with pytest.raises(UpstreamProtocolError):
        read(named)
    with pytest.raises(UpstreamProtocolError):
        read(named, piece(1, "b", "f", "{}"))


def test_an_empty_piece_is_no_call() -> None:
    """Some servers send one; the calls beside it are numbered as if it were not there."""
    reader, events = CallReader(0), list[Event]()
    reader.take([{}], events)
    reader.finish(events)
    assert (events, reader.has_calls) == ([], False)
    assert read({"index": 0}, piece(1, "b", "f", "{}"))[0] == CallStarted(0, "b", "f")


def test_geminis_signature_is_read_from_its_call() -> None:
    """`extra_content.google.thought_signature` is the signature of the call that it stands at."""
    signed = piece(0, "a", "f", "{}") | {"extra_content": {"google": {"thought_signature": "s"}}}
    assert read(signed)[0] == CallStarted(0, "a", "f", "s")


def test_more_arguments_than_are_kept_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider cannot fill the memory with one call."""
    monkeypatch.setattr(openai_calls, "MAX_ARGUMENTS", 10)
    reader = CallReader(0)
    reader.take([piece(0, "a", "f", "12345")], [])
    with pytest.raises(UpstreamTooLarge):
        reader.take([piece(0, arguments="678901")], [])


def test_more_calls_than_are_kept_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider cannot fill the memory with many calls."""
    monkeypatch.setattr(openai_calls, "MAX_CALLS", 2)
    reader = CallReader(0)
    with pytest.raises(UpstreamTooLarge):
        reader.take([piece(n, f"c{n}", "f", "{}") for n in range(3)], [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["index", "id", "function", "name", "arguments", "extra_content", "google"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=6))
def test_whatever_comes_calls_are_in_order(pieces: list[Any]) -> None:
    """Of anything at all come calls in their order, each whole, or an error."""
    reader, events = CallReader(0), list[Event]()
    try:
        for each in pieces:
            reader.take(each, events)
            reader.take([each], events)
        reader.finish(events)
    except UpstreamProtocolError:
        return  # a call without a name
    kinds = "".join(type(event).__name__[4] for event in events)
    assert kinds.replace("A", "") == "SE" * (kinds.count("S"))
    indices = [event.index for event in events if isinstance(event, CallStarted)]
    assert indices == list(range(len(indices)))
    assert "SE" not in kinds
