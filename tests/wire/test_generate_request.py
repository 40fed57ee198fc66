"""Tests of `proxy/wire/generate_request.py`."""

import json
from typing import Any

import pytest

from proxy.domain.chat import ChatRequest, Message, Text
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.base import Ask
from proxy.wire.generate_request import find_likelihoods, parse_ask, read_generate

HI = ChatRequest((Message("user", (Text("Say hi."),)),))


def ask_for(**fields: Any) -> Ask:
    body = {"model": "alias", "prompt": "Say hi.", **fields}
    return parse_ask("generate", json.dumps(body).encode())


def refuse(**fields: Any) -> str | None:
    """Return which field a request is refused for, when it is parsed or when it is read."""
    with pytest.raises(InvalidRequest) as refusal:
        read_generate(ask_for(**fields))
    return refusal.value.param


def test_a_prompt_is_a_message() -> None:
    """Nothing else is made up."""
    ask = ask_for()
    assert (ask.operation, ask.model, ask.streams, ask.choices) == ("generate", "alias", False, 1)
    assert read_generate(ask) == HI


def test_all_that_a_chat_has_is_read() -> None:
    """By the names that it had there."""
    chat = read_generate(
        ask_for(
            max_tokens=9,
            temperature=0.75,
            k=40,
            p=0.5,
            stop_sequences=["a", "b"],
            end_sequences=["b", "c"],
            frequency_penalty=0.25,
            presence_penalty=0.5,
            num_generations=3,
            seed=7,
            stream=True,
            return_likelihoods="GENERATION",
        )
    )
    assert (chat.max_tokens, chat.temperature, chat.top_k, chat.top_p) == (9, 0.75, 40, 0.5)
    assert chat.stop == ("a", "b", "c")
    assert (chat.frequency_penalty, chat.presence_penalty) == (0.25, 0.5)
    assert (chat.choices, chat.seed, chat.streams, chat.log_probs) == (3, 7, True, 0)
    assert chat.extra == {}


def test_what_says_nothing_is_not_there() -> None:
    """Null, NONE and a bound of 0 were ways not to say something."""
    chat = read_generate(
        ask_for(
            k=0, truncate="NONE", return_likelihoods="NONE", preset=None, stream=None, seed=None
        )
    )
    assert chat == HI


def test_other_fields_are_left_to_the_provider() -> None:
    """It takes what it knows; the tokens of `logit_bias` have the numbers of Cohere's models."""
    chat = read_generate(ask_for(truncate="END", logit_bias={"11": 5}, safety_mode="OFF"))
    assert set(chat.extra) == {"truncate", "logit_bias", "safety_mode"}
    assert chat.logit_bias is None


def test_models_and_fallbacks_are_ours() -> None:
    """As in every other dialect."""
    ask = ask_for(fallbacks=["b"], metadata={"session_id": "s"})
    assert (ask.fallbacks, ask.session_id) == (("b",), "s")
    assert "fallbacks" not in ask.fields


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompt": 3}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 5.5}, "temperature"),
        ({"k": 501}, "k"),
        ({"k": 0.5}, "k"),
        ({"p": 1.5}, "p"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"presence_penalty": 2}, "presence_penalty"),
        ({"stop_sequences": "a"}, "stop_sequences"),
        ({"end_sequences": [1]}, "end_sequences"),
        ({"num_generations": 6}, "num_generations"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"truncate": 3}, "truncate"),
        ({"return_likelihoods": "SOME"}, "return_likelihoods"),
        ({"preset": 3}, "preset"),
        ({"raw_prompting": 3}, "raw_prompting"),
        ({"base_url": "http://a.example"}, "base_url"),
        ({"fallbacks": 3}, "fallbacks"),
    ],
    ids=str,
)
def test_bad_fields_are_named(fields: Any, param: str) -> None:
    """Each refusal says which field it is about."""
    assert refuse(**fields) == param


@pytest.mark.parametrize(
    "fields", [{"preset": "mine"}, {"raw_prompting": True}, {"return_likelihoods": "ALL"}], ids=str
)
def test_what_no_chat_has_is_refused(fields: Any) -> None:
    """It would be another answer without."""
    with pytest.raises(NotOffered) as refusal:
        read_generate(ask_for(**fields))
    assert refusal.value.param in fields


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """No field is to blame for it."""
    with pytest.raises(InvalidRequest) as refusal:
        parse_ask("generate", body)
    assert refusal.value.param is None


@pytest.mark.parametrize(("word", "wanted"), [(None, False), ("NONE", False), ("GENERATION", True)])
def test_likelihoods_are_told_who_asks(word: str | None, wanted: bool) -> None:
    """Only of what was generated."""
    assert find_likelihoods(ask_for(return_likelihoods=word)) is wanted
