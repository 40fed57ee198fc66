"""Tests of `proxy/wire/foreign_thoughts.py`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.wire.foreign_thoughts import strip_foreign_thoughts
from proxy.wire.json_text import MAX_NAMES, encode

TEXT = {"type": "text", "text": "hi"}
OWN = {"type": "thinking", "thinking": "Hm", "signature": "EqQ="}
FOREIGN = {"type": "thinking", "thinking": "Hm", "signature": "lp1.openai."}
REDACTED = {"type": "redacted_thinking", "data": "lp1.gemini.call.Ep="}
USER = {"role": "user", "content": "hi"}


def strip(*messages: Any) -> Any:
    return json.loads(bytes(strip_foreign_thoughts(Raw(json.dumps(messages).encode()))))


def said(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def test_what_has_no_mark_is_the_very_same() -> None:
    """Nothing is read, nothing is written anew."""
    raw = Raw(json.dumps([USER, said(OWN, TEXT)]).encode())
    assert strip_foreign_thoughts(raw) is raw


def test_marked_thoughts_are_gone_and_all_else_stays() -> None:
    """Anthropic's own thoughts keep their place and their bytes."""
    assert strip(USER, said(FOREIGN, OWN, REDACTED, TEXT)) == [USER, said(OWN, TEXT)]
    spaced = b'[{"role":"assistant","content":[ {"type":"text",  "text":"\\u0068i"},'
    raw = Raw(spaced + json.dumps(FOREIGN).encode() + b"]}]")
    assert b'{"type":"text",  "text":"\\u0068i"}' in bytes(strip_foreign_thoughts(raw))


def test_a_turn_of_nothing_but_foreign_thoughts_is_gone() -> None:
    """Anthropic refuses a message without content."""
    assert strip(USER, said(FOREIGN), USER) == [USER, USER]


def test_marked_citations_are_gone_and_their_text_stays() -> None:
    """A text without any citation left has no member for them."""
    foreign = {"type": "web_search_result_location", "encrypted_index": "lp1.openai."}
    own = {"type": "web_search_result_location", "encrypted_index": "Eo8="}
    assert strip(said(TEXT | {"citations": [foreign]})) == [said(TEXT)]
    assert strip(said(TEXT | {"citations": [foreign, own]})) == [said(TEXT | {"citations": [own]})]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [FOREIGN]},
        {"role": "assistant", "content": "lp1."},
        {"role": "assistant", "content": ["lp1.x"]},
        {"role": "assistant", "content": [{"type": "text", "text": "lp1.openai."}]},
        {"role": "assistant", "content": [{"type": "tool_use", "input": {"signature": "lp1.x"}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "lp1.openai."}]},
        {"role": 1, "content": "lp1.x"},
        "lp1.x",
    ],
)
def test_words_that_only_look_like_a_mark_stay(message: Any) -> None:
    """Only the signature of an assistant's thought is one; what is no message stays as well."""
    assert strip(message) == [message]


@given(st.binary() | st.text().map(lambda text: b'["lp1.' + text.encode("utf-8", "replace")))
def test_nothing_is_raised(text: bytes) -> None:
    """What is no list of messages comes back as it is, or as a list that says the same."""
    strip_foreign_thoughts(Raw(b'"lp1.' + text))


def test_more_values_than_anybody_sends_are_not_taken_apart() -> None:
    """Millions of small values would fill the memory: Anthropic gets them as they came."""
    items = b'{"role":"assistant","content":[' + encode(FOREIGN) + b",0" * MAX_NAMES + b"]}"
    messages = Raw(b"[" + items + b"]")
    assert strip_foreign_thoughts(messages) is messages
