"""Tests of `proxy/wire/cohere_log_probs.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.wire.cohere_log_probs import write_cohere_log_probs


def write(value: Any) -> Any:
    raw = write_cohere_log_probs(Raw(json.dumps(value).encode()))
    return None if raw is None else json.loads(bytes(raw))


def test_a_piece_is_as_probable_as_its_tokens_together() -> None:
    """Several tokens of one piece of text are told as one, in bytes too."""
    piece = {"text": "é", "token_ids": [1, 2], "logprobs": [-0.5, -0.25]}
    token = {"token": "é", "logprob": -0.75, "bytes": [195, 169], "top_logprobs": []}
    assert write(piece) == {"content": [token]}
    assert write([piece, {"text": None, "token_ids": []}, piece]) == {"content": [token, token]}


@pytest.mark.parametrize("value", [{}, [], None, "x", {"text": "a"}, {"text": 3, "logprobs": [1]}])
def test_what_cannot_be_read_is_none(value: Any) -> None:
    """An answer is worth more than its probabilities."""
    assert write(value) is None
