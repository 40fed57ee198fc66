"""Ids that an answer needs and its provider has not given."""

from random import choices
from string import ascii_letters, digits

_LENGTH = 24
_LONGEST_SAID = 512


def build_id(prefix: str) -> str:
    """
    Return a new id such as `call_` and 24 letters and digits.

    It tells answers and calls of one conversation apart, and protects nothing.
    """
    return prefix + "".join(choices(ascii_letters + digits, k=_LENGTH))


def keep_short(said: str | None) -> str | None:
    """
    Return a provider's id of an answer, or its name for a model; None where it is too long.

    Each event of some dialects repeats it: what takes a provider one event to send must not make
    all that follow as large.
    """
    return said if said is None or len(said) <= _LONGEST_SAID else None
