"""Text of somebody else's error, made fit for a client to read: short, masked, one line."""

import re

MAX_CHARACTERS = 500

_SECRETS = re.compile(
    r"\b(?:sk|pk|rk|xai|gsk|key|hf|pplx|nvapi|AIza|ya29|eyJ)[-_A-Za-z0-9.*]{6,}"
    r"|(?i:bearer)\s+\S+"
    r"|\b[A-Za-z0-9+/_-]{40,}={0,2}"
)
_TAGS = re.compile(r"<[^>]{0,200}>")
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def clean_text(text: str) -> str:
    """
    Return the text without tags, control characters and anything that looks like a key.

    Args:
        text: any length; only the first few thousand characters are looked at.

    Returns:
        At most MAX_CHARACTERS characters on one line.

    Source: tests/wire/test_error_text.py.
    """
    text = _TAGS.sub(" ", text[: MAX_CHARACTERS * 8])
    text = _SECRETS.sub("***", _SPACES.sub(" ", text)).strip()
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
