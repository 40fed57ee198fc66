"""Ids that an answer needs and its provider has not given."""

from random import choices
from string import ascii_letters, digits

_LENGTH = 24


def build_id(prefix: str) -> str:
    """
    Return a new id such as `call_` and 24 letters and digits.

    It tells answers and calls of one conversation apart, and protects nothing.
    """
    return prefix + "".join(choices(ascii_letters + digits, k=_LENGTH))
