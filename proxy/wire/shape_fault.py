"""
What is wrong with the shape of a part of a request, in the client's terms.

The decoder says it with types of its own and a path from where it began; nothing of what the
request holds is in that, and nothing of it is repeated here.
"""

import re

from proxy.domain.errors import InvalidRequest

_PATH = re.compile(r" - at `\$([\w.\[\]]{0,200})")
_EXPECTED = re.compile(r"\AExpected `([a-z |]+)`, got")
_MISSING = re.compile(r"\AObject missing required field `(\w+)`")
_WORDS = {
    "array": "a list",
    "bool": "a boolean",
    "float": "a number",
    "int": "an integer",
    "null": "null",
    "object": "an object",
    "str": "a string",
}


def build_shape_fault(error: Exception, place: str) -> InvalidRequest:
    """
    Return the refusal for what a decoder has not taken.

    Args:
        error: what the decoder raised.
        place: where in the request it began, such as `messages`; the error's path goes behind it.

    Source: tests/wire/test_shape_fault.py.
    """
    said = str(error)
    path = _PATH.search(said)
    param = place + ("" if path is None else path[1])
    missing = _MISSING.match(said)
    if missing is not None:
        param = f"{param}.{missing[1]}"
        return InvalidRequest(f"'{param}' is missing.", param=param)
    expected = _EXPECTED.match(said)
    words = [] if expected is None else [_WORDS.get(w, "") for w in expected[1].split(" | ")]
    if words and all(words):
        listed = " or ".join((", ".join(words[:-1]), words[-1]) if len(words) > 1 else words)
        return InvalidRequest(f"'{param}' must be {listed}.", param=param)
    return InvalidRequest(f"'{param}' is not of a shape that is known.", param=param)
