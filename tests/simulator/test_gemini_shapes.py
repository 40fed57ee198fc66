"""Requests in Gemini's format have a shape, and nothing else in them."""

import msgspec
import pytest

from proxy.simulator.gemini_shapes import GenerateAsked

LEAST = b'"contents":[{"parts":[{"text":"hi","thoughtSignature":"x"}]}]'


def test_names_are_in_camel_case() -> None:
    """Names are those of the answers; one that is not known is refused wherever it stands."""
    read = msgspec.json.decode(b"{" + LEAST + b"}", type=GenerateAsked)
    assert read.contents[0].parts[0].thought_signature == "x"
    for more in (b'"max_tokens":1', b'"generationConfig":{"maxTokens":1}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(b"{" + LEAST + b"," + more + b"}", type=GenerateAsked)
