"""
How large a window of context a local server is asked for: it sets aside memory for all of it.

Where the window is too small Ollama forgets the beginning of a conversation, or refuses it; where
it is another than that of the request before, it loads the model anew. So it is estimated with
room, and grows in few steps.
"""

from msgspec import Struct

BYTES_PER_TOKEN = 3
"""Fewer than elsewhere: who estimates too much here loses memory, who estimates too little the
answer. Numbers, code and most scripts but the Latin have about this many."""
TOKENS_PER_PICTURE = 1600
USUAL_ANSWER_TOKENS = 4096
"""Room for an answer whose length nobody has bounded."""


class WindowBounds(Struct, frozen=True):
    """Between what a window may be, in tokens; the highest goes before the lowest."""

    lowest: int
    highest: int


def choose_window(
    prompt_bytes: int,
    pictures: int,
    answer_tokens: int | None,
    asked: int | None,
    bounds: WindowBounds,
) -> int:
    """
    Return the tokens of context that a request needs, in one of few sizes.

    Args:
        prompt_bytes: of the messages and tools as they are sent, without pictures.
        pictures: how many there are.
        answer_tokens: the most that the answer may have; None: nobody has said it.
        asked: what the client has asked for, which is never gone below.
        bounds: of the model and of the operator.

    Returns:
        The lowest bound, doubled until all fits; the highest bound if it does not fit even then.

    Source: docs/decisions/0030-a-window-for-every-request.md; tests/wire/test_context_window.py.
    """
    needed = -(-prompt_bytes // BYTES_PER_TOKEN) + pictures * TOKENS_PER_PICTURE
    needed += USUAL_ANSWER_TOKENS if answer_tokens is None else answer_tokens
    size = bounds.lowest
    while size < needed and size < bounds.highest:
        size *= 2
    return min(max(size, asked or 0), bounds.highest)
