"""
How the simulator counts: a token is a word (of at most 16 letters) or a punctuation mark.

Usage and chunks come from the same split, so they always agree. No real tokenizer is here.
"""

import re

_TOKEN = re.compile(r"\s*(?:\w{1,16}|[^\w\s])|\s+\Z")


def split_tokens(text: str) -> list[str]:
    """Return the tokens of `text`, each with the white space before it; joined they are `text`."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """Return how many tokens `text` has."""
    return len(_TOKEN.findall(text))
