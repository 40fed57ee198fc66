"""Tests of `proxy/wire/gemini_log_probs.py`."""

import json

import pytest
from google.genai import types
from msgspec import Raw
from openai.types.chat.chat_completion import ChoiceLogprobs

from proxy.wire.gemini_log_probs import write_log_probs

RESULT = {
    "chosenCandidates": [
        {"token": "Hé", "tokenId": 5, "logProbability": -0.5},
        {"token": "!"},
    ],
    "topCandidates": [
        {
            "candidates": [
                {"token": "Hé", "logProbability": -0.5},
                {"token": "Ho", "logProbability": -1.5},
            ]
        }
    ],
}


def test_tokens_are_written_as_openai_does() -> None:
    """Each has its probability, its bytes and its alternatives."""
    types.LogprobsResult.model_validate(RESULT)
    written = write_log_probs(Raw(json.dumps(RESULT).encode()))
    assert written is not None
    value = json.loads(bytes(written))
    ChoiceLogprobs.model_validate(value)
    first, second = value["content"]
    assert first == {
        "token": "Hé",
        "logprob": -0.5,
        "bytes": [72, 195, 169],
        "top_logprobs": [
            {"token": "Hé", "logprob": -0.5, "bytes": [72, 195, 169]},
            {"token": "Ho", "logprob": -1.5, "bytes": [72, 111]},
        ],
    }
    assert second == {"token": "!", "logprob": -9999.0, "bytes": [33], "top_logprobs": []}


@pytest.mark.parametrize("raw", [b"", b"{}", b"5", b'{"chosenCandidates":5}'])
def test_what_says_nothing_is_none(raw: bytes) -> None:
    """An answer is never lost for its probabilities."""
    assert write_log_probs(Raw(raw)) is None


def test_of_a_token_that_cannot_be_no_bytes_are_told() -> None:
    """Megabytes in the place of a token do not become many times as many."""
    token = json.dumps({"chosenCandidates": [{"token": "x" * 100_000, "logProbability": -1}]})
    found = write_log_probs(Raw(token.encode()))
    assert found is not None
    assert len(bytes(found)) < 110_000
    assert json.loads(bytes(found))["content"][0]["bytes"] is None
