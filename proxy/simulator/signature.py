"""
The proof that a thought is the simulator's own: it comes back unchanged, or it is refused.

Real providers sign what they have thought; who keeps it for the next turn must not alter it.
"""

import base64
import hashlib

_MAKER = b"simulator:"


def sign_thought(text: str) -> str:
    """Return the signature of a thought."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=24).digest()
    return base64.b64encode(_MAKER + digest).decode()


def is_signed(text: str, signature: str) -> bool:
    """True if the simulator has thought exactly that."""
    return signature == sign_thought(text)


def is_ours(signature: str) -> bool:
    """True if the simulator has signed something by that, whatever it was."""
    try:
        return base64.b64decode(signature, validate=True).startswith(_MAKER)
    except ValueError:
        return False
