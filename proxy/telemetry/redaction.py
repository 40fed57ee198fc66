"""
Text made safe for a log line: keys masked, control characters shown, length bounded.

This is the second line of defence: keys live in `Secret` and prompts are never handed to
telemetry. It is for text that others wrote (a model name, a library's message), in which a
key may hide. `request_log.py` and `logs.py` call it for every text field.
"""

from functools import lru_cache

from proxy.domain.key_mask import mask_keys

MAX_FIELD_CHARS = 256

_WINDOW_CHARS = 1024
"""How much of a text is looked at: a longer one is cut first, so the cost has a bound."""
_EDGE_CHARS = 64
"""What is given up at the window's edge, where the cut may have halved a key."""


def redact(text: str) -> str:
    """
    Return `text` as it may stand in a log: masked, printable, at most 256 characters.

    Args:
        text: anything, of any length, lone surrogates too.

    Returns:
        Text in which what looks like a key is `***`, every character that is not printable
        (control, bidirectional, line separators, surrogates) is written as an escape such
        as `\\x1b`, and what is longer than 256 characters ends in `...`.

    Raises:
        Nothing.

    Source: reliability rows A37 to A39; tests/telemetry/test_redaction.py.
    """
    is_cut = len(text) > _WINDOW_CHARS
    if is_cut:
        text = text[:_WINDOW_CHARS]
    masked = mask_keys(text)
    if is_cut:
        masked = masked[:-_EDGE_CHARS]
    if not masked.isprintable():
        masked = "".join(c if c.isprintable() else _escape(c) for c in masked)
    if is_cut or len(masked) > MAX_FIELD_CHARS:
        masked = masked[: MAX_FIELD_CHARS - 3] + "..."
    return masked


@lru_cache(maxsize=2048)
def _redact_remembered(text: str) -> str:
    return redact(text)


def redact_name(text: str | None) -> str | None:
    """Return `redact(text)` for a name that comes again and again; the answer is remembered."""
    if text is None:
        return None
    # A client chooses its model name: long ones would make the memory of answers expensive.
    return _redact_remembered(text) if len(text) <= MAX_FIELD_CHARS else redact(text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
