"""Requests in Cohere's format have a shape, and nothing else in them."""

import msgspec
import pytest

from proxy.simulator.cohere_shapes import ChatAsked, EmbedAsked

CHAT = b'"model":"m","messages":[{"role":"user","content":"hi"}]'
EMBED = b'"model":"m","input_type":"search_query","texts":["a"],"embedding_types":["float"]'


@pytest.mark.parametrize(
    "more",
    [
        b'"n":2',
        b'"top_p":0.5',
        b'"p":1.0',
        b'"frequency_penalty":-0.1',
        b'"stop_sequences":["a","b","c","d","e","f"]',
        b'"tool_choice":"auto"',
        b'"thinking":{"type":"enabled","budget_tokens":1}',
        b'"tools":[{"type":"function","function":{"name":"f"}}]',
    ],
)
def test_names_and_bounds_are_coheres(more: bytes) -> None:
    """What OpenAI calls otherwise, or takes more of, is refused."""
    assert msgspec.json.decode(b"{" + CHAT + b"}", type=ChatAsked).stream is False
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"{" + CHAT + b"," + more + b"}", type=ChatAsked)


def test_an_input_has_a_type() -> None:
    """It must be said what a text is for, and what is wanted of it."""
    assert msgspec.json.decode(b"{" + EMBED + b"}", type=EmbedAsked).texts == ["a"]
    for lacking in (b'"input_type":"search_query",', b',"embedding_types":["float"]'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(b"{" + EMBED.replace(lacking, b"") + b"}", type=EmbedAsked)
