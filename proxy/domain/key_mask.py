"""
What looks like a key, in text that others wrote, replaced by stars.

The second line of defence behind `Secret`, in one place for the two that need it: what a
provider says to a client (`wire/error_text.py`) and what a log says (`telemetry/redaction.py`).
Names of models and deployments, UUIDs and ordinary words are left alone. `hide_secret` is for
one key that is known, whatever it looks like (`pipeline/call.py`).
"""

import re
from urllib.parse import quote

MASK = "***"

# No pattern nests one quantifier in another and every gap is bounded: linear time.
_NAMED = re.compile(
    r"(?i)\b((?:x-)?(?:api|access|refresh|secret|private|client)[-_ ]?(?:key|token|secret)"
    r"|(?:proxy-)?authorization|token|secret|password|passwd)"
    r"([\"']?\s{0,8}[=:]\s{0,8}[\"']?)(?:(?:bearer|basic)\s{1,8})?[^\s\"'&,;}]+"
)
_SCHEME = re.compile(
    r"(?i)\b(bearer|basic)\s{1,8}"
    r"(?!(?:token|auth|key|header|scheme|credential)\w{0,16}\b)[^\s\"',;}]{4,}"
)
_PREFIXED = re.compile(
    # The prefixes that vendors give their keys; stars are keys that were masked in part.
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk|gsk|xai|hf|pplx|nvapi|csk|fw|r8|ghp|gho|github_pat|glpat|xoxb)[-_][-\w.*]{4,}"
    r"|AIza[-\w*]{6,}|AKIA[A-Z0-9*]{8,}|ya29\.[-\w.*]+"
    # Three base64 parts between dots, or the head of them: a JSON web token.
    r"|eyJ[-\w.*]{6,}"
    r"|(?:org|proj|user|acct|team)[-_][A-Za-z0-9]{10,}(?![A-Za-z0-9])"
    r")"
)
_USERINFO = re.compile(r"://[^\s/@:]{0,128}:[^\s/@]{1,256}@")
_LONG = re.compile(r"[A-Za-z0-9_+/=\-]{24,}")
_SEPARATORS = re.compile(r"[_+/=\-]+")
_CUT = "…"
_LEAST_START = 4
"""So much of a key at the end of a text that was cut is taken for its start."""


def mask_keys(text: str) -> str:
    """Return the text with MASK in the place of everything that looks like a key."""
    text = _NAMED.sub(rf"\1\2{MASK}", text)
    text = _SCHEME.sub(rf"\1 {MASK}", text)
    text = _PREFIXED.sub(MASK, text)
    text = _USERINFO.sub(f"://{MASK}@", text)
    return _LONG.sub(_mask_long, text)


def hide_secret(text: str, secret: str) -> str:
    """Return the text with MASK for a secret, also URL-encoded, or cut off by the text's "…"."""
    for written in (secret, quote(secret, safe="")):
        text = text.replace(written, MASK)
        said = text.removesuffix(_CUT)
        if said != text:
            for size in range(len(written) - 1, _LEAST_START - 1, -1):
                if said.endswith(written[:size]):
                    text = said[:-size] + MASK + _CUT
                    break
    return text


def _mask_long(match: re.Match[str]) -> str:
    # Long model names and UUIDs are words between separators; a key is one long mixed run.
    run = match.group()
    parts = [part for part in _SEPARATORS.split(run) if part]
    for part in parts:
        if len(part) >= 20 and not part.isalpha():
            return MASK
    is_mixed = any(c.isdigit() for c in run) and any(c.isupper() for c in run)
    if is_mixed and not run.isupper() and parts and len(run) / len(parts) >= 12:
        return MASK
    return run
