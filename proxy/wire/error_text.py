"""Text of somebody else's error, made fit for a client to read: short, masked, one line."""

import re

from proxy.domain.key_mask import mask_keys

MAX_CHARACTERS = 500

_LOOKED_AT = MAX_CHARACTERS * 8
_TAGS = re.compile(r"<[^<>]*>")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def clean_text(text: str) -> str:
    """
    Return the text without tags, control characters and anything that looks like a key.

    Args:
        text: any length; only the first few thousand characters are looked at.

    Returns:
        At most MAX_CHARACTERS characters on one line.

    Source: tests/wire/test_error_text.py.
    """
    if len(text) > _LOOKED_AT:
        # Cut between words: the first half of a key would not look like one any more.
        text = text[:_LOOKED_AT].rpartition(" ")[0]
    text = _SPACES.sub(" ", _TAGS.sub(" ", _INVISIBLE.sub("", text)))
    text = mask_keys(text).strip()
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
