"""
Text made safe for a log line: keys masked, control characters shown, length bounded.

This is the second line of defence: keys live in `Secret` and prompts are never handed to
telemetry. It is for text that others wrote (a model name, a library's message), in which a
key may hide. `request_log.py` and `logs.py` call it for every text field.
"""

import re
from functools import lru_cache

MAX_FIELD_CHARS = 256
MASK = "***"

_WINDOW_CHARS = 1024
"""How much of a text is looked at: a longer one is cut first, so the cost has a bound."""
_EDGE_CHARS = 64
"""What is given up at the window's edge, where the cut may have halved a key."""

# No pattern nests one quantifier in another and every gap is bounded: linear time.
_NAMED = re.compile(
    r"(?i)\b(api[_-]?key|authorization|proxy-authorization|access[_-]?token|refresh[_-]?token"
    r"|token|client[_-]?secret|secret|password|passwd)"
    r"([\"']?\s{0,8}[=:]\s{0,8}[\"']?)(?:(?:bearer|basic)\s{1,8})?[^\s\"'&,;}]+"
)
_SCHEME = re.compile(r"(?i)\b(bearer|basic)\s{1,8}[^\s\"',;}]{4,}")
_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?:sk-|sk_|pk_|rk_|xai-|gsk_|pplx-|hf_|r8_|ghp_|gho_|github_pat_|glpat-|xoxb-|AIza|AKIA)"
    r"[A-Za-z0-9_\-.]{8,}"
)
_USERINFO = re.compile(r"://[^\s/@:]{0,128}:[^\s/@]{1,256}@")
_LONG = re.compile(r"[A-Za-z0-9_+/=\-]{32,}")
_SEPARATORS = re.compile(r"[_+/=\-]+")


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
    masked = _mask(text)
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


def _mask(text: str) -> str:
    if len(text) < 8:
        return text
    text = _NAMED.sub(rf"\1\2{MASK}", text)
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    text = _PREFIXED.sub(MASK, text)
    text = _USERINFO.sub(f"://{MASK}@", text)
    return _LONG.sub(_mask_long, text)


def _mask_long(match: re.Match[str]) -> str:
    # Long model names and UUIDs are words between separators; a key is one long mixed run.
    run = match.group()
    for part in _SEPARATORS.split(run):
        if len(part) >= 20 and not part.isalpha():
            return MASK
    has_all_kinds = (
        any(c.isdigit() for c in run) and any(c.isupper() for c in run) and not run.isupper()
    )
    parts = [part for part in _SEPARATORS.split(run) if part]
    if has_all_kinds and parts and len(run) / len(parts) >= 12:
        return MASK
    return run


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
