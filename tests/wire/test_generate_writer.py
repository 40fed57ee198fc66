"""Tests of `proxy/wire/generate_writer.py`."""

import json
import tracemalloc
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.errors import UpstreamTooLarge
from proxy.domain.events import (
    Counted,
    Event,
    Finished,
    FinishReason,
    LogProbs,
    Refused,
    Said,
    Started,
    Thinking,
)
from proxy.domain.usage import Usage
from proxy.wire import generate_writer
from proxy.wire.base import Ask
from proxy.wire.generate_writer import GenerateLines, write_generate_answer

META = {
    "api_version": {"version": "1"},
    "billed_units": {"input_tokens": 9, "output_tokens": 2},
    "tokens": {"input_tokens": 9, "output_tokens": 2},
}


def ask_for(choices: int = 1, prompt: bytes = b'"Say hi."') -> Ask:
    return Ask("generate", "alias", {"prompt": Raw(prompt)}, streams=True, choices=choices)


def lines_of(*events: Event, ask: Ask | None = None) -> list[Any]:
    writer = GenerateLines(ask or ask_for())
    written = writer.write(events) + writer.finish()
    assert written.endswith(b"\n")
    return [json.loads(line) for line in written.splitlines()]


def whole_of(*events: Event, ask: Ask | None = None, has_likelihoods: bool = False) -> Any:
    body = write_generate_answer(ask or ask_for(), events, has_likelihoods=has_likelihoods)
    return json.loads(body)


ANSWER = (
    Started("x1", "m", 7),
    Thinking("hm", "openai"),
    Said("H"),
    Said("i."),
    Finished("stop"),
    Counted(Usage(9, 2)),
)


def test_a_stream_says_each_piece_and_then_all_of_it() -> None:
    """Thoughts have no place in it."""
    first, second, last = lines_of(*ANSWER)
    assert first == {"text": "H", "is_finished": False, "event_type": "text-generation"}
    assert second["text"] == "i."
    own_id = last["response"]["generations"][0].pop("id")
    assert own_id.startswith("gen-")
    assert last == {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": {
            "id": "x1",
            "prompt": "Say hi.",
            "generations": [{"text": "Hi.", "finish_reason": "COMPLETE"}],
            "meta": META,
        },
    }


def test_a_whole_answer_is_what_a_stream_ends_with() -> None:
    """But for the ids of ours."""
    whole, last = whole_of(*ANSWER), lines_of(*ANSWER)[-1]["response"]
    for answer in (whole, last):
        del answer["generations"][0]["id"]
    assert whole == last


def test_several_generations_have_numbers() -> None:
    """One has none, as it was there."""
    events = (Said("a", 1), Said("b", 0), Finished("stop", 0), Finished("length", 1))
    first, second, last = lines_of(*events, ask=ask_for(2))
    assert (first["index"], second["index"]) == (1, 0)
    generations = last["response"]["generations"]
    wanted = [(0, "b", "COMPLETE"), (1, "a", "MAX_TOKENS")]
    assert [(g["index"], g["text"], g["finish_reason"]) for g in generations] == wanted
    whole = whole_of(*events, ask=ask_for(2))["generations"]
    assert [(g["index"], g["text"], g["finish_reason"]) for g in whole] == wanted


@pytest.mark.parametrize(
    ("reason", "sequence", "word"),
    [
        ("stop", None, "COMPLETE"),
        ("stop", "a", "STOP_SEQUENCE"),
        ("length", None, "MAX_TOKENS"),
        ("content_filter", None, "ERROR_TOXIC"),
        ("tool_calls", None, "COMPLETE"),
    ],
)
def test_each_end_has_its_word(reason: FinishReason, sequence: str | None, word: str) -> None:
    """Those that Cohere had for it."""
    events = (Said("a"), Finished(reason, stop_sequence=sequence))
    assert lines_of(*events)[-1]["finish_reason"] == word
    assert whole_of(*events)["generations"][0]["finish_reason"] == word


def test_the_words_of_a_refusal_are_text() -> None:
    """There is no other place for them."""
    events = (Refused("No."), Finished("content_filter"))
    assert lines_of(*events)[0]["text"] == "No."
    assert whole_of(*events)["generations"][0]["text"] == "No."


def test_an_answer_without_words_has_its_generation() -> None:
    """It ends, and its text is empty."""
    (last,) = lines_of(Finished("length"))
    assert last["response"]["generations"][0]["text"] == ""
    assert lines_of()[-1]["response"]["generations"] == []


def test_likelihoods_are_those_of_the_tokens() -> None:
    """The generation's own is their mean; what cannot be read of them is passed over."""
    tokens = [{"token": "H", "logprob": -0.5}, {"token": "i", "logprob": -1.5}]
    raw = Raw(json.dumps({"content": tokens}).encode())
    events = (Said("Hi"), LogProbs(raw), LogProbs(Raw(b"3")), Finished("stop"))
    generation = whole_of(*events, has_likelihoods=True)["generations"][0]
    assert generation["likelihood"] == -1.0
    assert generation["token_likelihoods"] == [
        {"token": "H", "likelihood": -0.5},
        {"token": "i", "likelihood": -1.5},
    ]
    assert "likelihood" not in whole_of(*events)["generations"][0]


def test_a_long_prompt_is_not_said_again() -> None:
    """It may be as long as a body."""
    prompt = b'"' + b"a" * generate_writer.MAX_REPEATED_BYTES + b'"'
    assert "prompt" not in whole_of(*ANSWER, ask=ask_for(prompt=prompt))


def test_there_is_an_end_to_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line says all of it again, so that all of it must be kept."""
    monkeypatch.setattr(generate_writer, "MAX_HELD_CHARACTERS", 5)
    writer = GenerateLines(ask_for())
    assert writer.write([Said("12345")])
    with pytest.raises(UpstreamTooLarge):
        writer.write([Said("6")])


def test_a_line_is_one_by_every_rule() -> None:
    """Some clients end lines where Unicode does, which JSON leaves as it is."""
    writer = GenerateLines(ask_for())
    lines = writer.write([Said("a\u2028b")]) + writer.finish()
    assert len(lines.decode().splitlines()) == 2


def test_many_small_pieces_cost_little_more_than_their_text() -> None:
    """A text that comes letter by letter is not held as an object for each, and stays as it is."""
    writer = GenerateLines(ask_for())
    text = "€\r\nñ" * 30_000
    tracemalloc.start()
    for letter in text:
        writer.write([Said(letter)])
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held_bytes < 10 * len(text)
    assert json.loads(writer.finish())["response"]["generations"][0]["text"] == text
