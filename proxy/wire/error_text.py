"""Text of somebody else's error, made fit for a client to read: short, masked, one line."""

import re

MAX_CHARACTERS = 500

_LOOKED_AT = MAX_CHARACTERS * 8
_SECRETS = re.compile(
    # The prefixes that vendors give their keys; stars are keys that were masked in part.
    r"\b(?:sk|pk|rk|gsk|xai|hf|pplx|nvapi|csk|fw)[-_][-\w.*]{4,}"
    r"|\bAIza[-\w*]{6,}|\bya29\.[-\w.*]+"
    # Three base64 parts between dots, or the head of them: a JSON web token.
    r"|\beyJ[-\w.*]{6,}"
    r"|\b(?:org|proj|user|acct|team)[-_][A-Za-z0-9]{10,}\b"
    # Said to be a secret by the word in front of it.
    r"|(?i:\bbearer)\s+(?!(?:token|auth|key|header|scheme)\w*\b)[^\s\"',;]+"
    r"|(?i:\b(?:api|access|secret|private)[-_ ]?(?:key|token)|\b(?:token|password|secret))"
    r"[\"']?\s?[:=]\s?[\"']?[^\s\"',;&]{6,}"
    # Too long for a word: keys of 32 hexadecimal digits, of mixed letters and digits, base64.
    r"|\b[0-9a-fA-F]{32,}\b"
    r"|\b(?=[A-Za-z]{0,64}\d)(?=\d{0,64}[A-Za-z])[A-Za-z0-9]{24,}\b"
    r"|[A-Za-z0-9+/_-]{40,}={0,2}"
)
_TAGS = re.compile(r"<[^<>]{0,200}>")
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
    text = _SECRETS.sub("***", text).strip()
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
