"""Gemini's `logprobsResult` -> log probabilities as OpenAI writes them."""

import msgspec
from msgspec import Raw, Struct


class _Token(Struct, rename="camel", gc=False):
    token: str = ""
    log_probability: float | None = None


class _Alternatives(Struct, gc=False):
    candidates: list[_Token] = []


class _Result(Struct, rename="camel", gc=False):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_Alternatives] = []


_NEVER = -9999.0
"""What OpenAI says of a token whose probability is no number worth telling."""
_LONGEST_TOKEN = 1024
"""In characters. Of a longer one, which no model has, the bytes are not told: as numbers they
would take many times its own memory."""

_decode = msgspec.json.Decoder(_Result).decode


def write_log_probs(raw: Raw) -> Raw | None:
    """Return `{"content": [...]}` for a `logprobsResult`, None where it says nothing readable."""
    try:
        found = _decode(raw)
    except (ValueError, RecursionError):
        return None
    if not found.chosen_candidates:
        return None
    content = []
    for place, chosen in enumerate(found.chosen_candidates):
        others = found.top_candidates[place].candidates if place < len(found.top_candidates) else []
        content.append(_write(chosen) | {"top_logprobs": [_write(other) for other in others]})
    return Raw(msgspec.json.encode({"content": content, "refusal": None}))


def _write(token: _Token) -> dict[str, object]:
    return {
        "token": token.token,
        "logprob": _NEVER if token.log_probability is None else token.log_probability,
        "bytes": list(token.token.encode()) if len(token.token) <= _LONGEST_TOKEN else None,
    }
