"""Thoughts as OpenAI hands them out: sealed, so that nobody but it can read or change them."""

import base64
import hashlib

_MARK = "gAAAA"
_DIGEST_BYTES = 12


def seal_thought(text: str) -> str:
    """Return what a thought's `encrypted_content` is."""
    raw = text.encode()
    return _MARK + base64.urlsafe_b64encode(_digest(raw) + raw).decode()


def is_sealed(content: str) -> bool:
    """Return whether this was sealed here and is unchanged."""
    try:
        raw = base64.b64decode(content.removeprefix(_MARK), altchars=b"-_", validate=True)
    except ValueError:
        return False
    return content.startswith(_MARK) and raw[:_DIGEST_BYTES] == _digest(raw[_DIGEST_BYTES:])


def _digest(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()[:_DIGEST_BYTES]
