"""
Which Claude takes what, by the name of the model.

Versions are read off a name, so that no model has to be listed: `claude-opus-4-7`,
`claude-3-5-sonnet-20241022`, `us.anthropic.claude-sonnet-4-5-20250929-v1:0`. A name without one,
also of a model that is no Claude, is taken for the newest: it is sent least.
"""

import re
from typing import Literal

from msgspec import Struct

_NAME = re.compile(
    r"claude-(?:[a-z]{1,20}-){0,3}([0-9]{1,2})(?![0-9])(?:[-.]([0-9]{1,2})(?![0-9]))?"
)
_NEWEST = (99, 0)


class ClaudeModel(Struct, frozen=True):
    """What a model takes."""

    thinking: Literal["none", "budget", "adaptive"]
    """How it is told to think: not at all, up to a number of tokens, or as it sees fit."""
    takes_sampling: bool
    """`temperature`, `top_p` and `top_k` are no errors."""
    takes_both: bool
    """`temperature` and `top_p` may come together."""
    takes_xhigh: bool
    """It has an effort between `high` and `max`."""
    takes_display: bool
    """Whether its thoughts are shown can be said, and has to be."""
    takes_schemas: bool
    """It can be held to a JSON schema, of an answer and of a call's arguments."""
    max_tokens: int
    """What an answer may have where the client has not said it: the field is required."""


def find_claude(model: str) -> ClaudeModel:
    """
    Return what a model takes.

    Source: wire-formats §1.1 and §3.1; docs/providers.md says what could not be verified.
    """
    found = _NAME.search(model.lower())
    version = _NEWEST if found is None else (int(found[1]), int(found[2] or 0))
    is_adaptive = version >= (4, 6)
    return ClaudeModel(
        thinking="adaptive" if is_adaptive else "budget" if version >= (3, 7) else "none",
        takes_sampling=version < (4, 7),
        takes_both=version < (4, 1),
        takes_xhigh=version >= (4, 7),
        takes_display=version >= (4, 7),
        takes_schemas=version >= (4, 5),
        # Those that think by themselves do it out of the same number.
        max_tokens=16_384 if is_adaptive else 4096,
    )
