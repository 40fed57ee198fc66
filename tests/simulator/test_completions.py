"""Legacy completions have OpenAI's form."""

import json
from typing import Any

import pytest

from proxy.simulator.plan import Plan
from tests.simulator.asking import answer_of, chunks_of, plan_of


def _plan(prompt: Any, model: str = "sim-echo", **more: Any) -> Plan:
    return plan_of(
        json.dumps({"model": model, "prompt": prompt, **more}).encode(), "/v1/completions"
    )


def test_a_whole_completion_has_every_field() -> None:
    """Object, text, finish reason and usage are there."""
    answer = answer_of(_plan("one two"))
    assert (answer["object"], answer["model"]) == ("text_completion", "sim-echo")
    expected = {"text": "one two", "index": 0, "logprobs": None, "finish_reason": "stop"}
    assert answer["choices"] == [expected]
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


def test_the_finish_rides_on_the_last_token() -> None:
    """A stream has one chunk per token, the last with the finish reason, then usage."""
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    first, second, usage = chunks_of(_plan("one two", **options))
    assert (first["choices"][0]["text"], first["choices"][0]["finish_reason"]) == ("one", None)
    assert (second["choices"][0]["text"], second["choices"][0]["finish_reason"]) == (" two", "stop")
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 4)


def test_an_empty_text_still_finishes() -> None:
    """A stream without a token has one chunk, which finishes."""
    (chunk,) = chunks_of(_plan("", stream=True))
    assert chunk["choices"][0] == {
        "text": "",
        "index": 0,
        "logprobs": None,
        "finish_reason": "stop",
    }


def test_prompts_times_n_are_choices() -> None:
    """Each prompt gets `n` choices, numbered through."""
    answer = answer_of(_plan(["a", "b"], n=2))
    texts = [(choice["index"], choice["text"]) for choice in answer["choices"]]
    assert texts == [(0, "a"), (1, "a"), (2, "b"), (3, "b")]


def test_echo_puts_the_prompt_first() -> None:
    """With `echo` the answer begins with the prompt."""
    answer = answer_of(_plan("Once.", "sim-story@0tps,5tokens", echo=True, max_tokens=4))
    assert answer["choices"][0]["text"].startswith("Once.")
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 6


@pytest.mark.parametrize("prompt", [["a"] * 200, []])
def test_too_many_or_no_prompts_are_refused(prompt: list[str]) -> None:
    """More than 128 choices or none are an error."""
    assert "error" in answer_of(_plan(prompt))
