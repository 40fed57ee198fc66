"""Cohere's log probabilities -> OpenAI's, piece by piece of text."""

import msgspec
from msgspec import Raw, Struct


class _Item(Struct):
    """A piece of text, and the log probability of each token that it was made of."""

    text: str | None = None
    logprobs: list[float] | None = None


_decode = msgspec.json.Decoder(_Item | list[_Item]).decode


def write_cohere_log_probs(raw: Raw) -> Raw | None:
    """
    Return log probabilities as `{"content": [...]}`; None: there are none that can be read.

    Cohere does not say which part of a piece each token is: a piece counts as one token, as
    probable as all of its tokens are together.

    Args:
        raw: one item, as in streams, or a list of them.

    Source: wire-formats §3.3; tests/wire/test_cohere_log_probs.py.
    """
    try:
        found = _decode(raw)
    except (ValueError, RecursionError):
        return None
    content = [
        {
            "token": item.text,
            "logprob": sum(item.logprobs),
            "bytes": list(item.text.encode()),
            "top_logprobs": [],
        }
        for item in (found if isinstance(found, list) else [found])
        if item.text and item.logprobs
    ]
    return Raw(msgspec.json.encode({"content": content})) if content else None
