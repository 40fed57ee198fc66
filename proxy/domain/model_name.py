"""What a client's text must be to pass for a model's name: it ends up in headers and logs."""

MAX_NAME_CHARACTERS = 128
"""Longest model name that is sent to a provider which takes any."""


def is_plain_name(text: str) -> bool:
    """Return whether a text is short, of printable ASCII and without blanks."""
    is_short = 0 < len(text) <= MAX_NAME_CHARACTERS
    return is_short and text.isascii() and text.isprintable() and " " not in text
