"""What is wrong with the shape of a part of a request, in the client's terms."""

import msgspec
import pytest

from proxy.wire.shape_fault import build_shape_fault


class Item(msgspec.Struct):
    """A part of a request."""

    name: str
    content: str | list[int] | None = None
    size: int = 0
    kind: bool = False


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ('{"a":1}', "messages", "'messages' must be a list."),
        ("[5]", "messages[0]", "'messages[0]' must be an object."),
        ("[{}]", "messages[0].name", "'messages[0].name' is missing."),
        (
            '[{"name":"n","content":5}]',
            "messages[0].content",
            "'messages[0].content' must be a string, a list or null.",
        ),
        (
            '[{"name":"n","content":["x"]}]',
            "messages[0].content[0]",
            "'messages[0].content[0]' must be an integer.",
        ),
        ('[{"name":"n","kind":1}]', "messages[0].kind", "'messages[0].kind' must be a boolean."),
        ("[", "messages", "'messages' is not of a shape that is known."),
        ('["\\ud800"]', "messages", "'messages' is not of a shape that is known."),
    ],
)
def test_a_wrong_shape_is_told_with_its_place_and_what_is_taken(
    body: str, param: str, message: str
) -> None:
    """A client reads which member it is and which types it may have, in the words of JSON."""
    with pytest.raises((ValueError, RecursionError)) as caught:
        msgspec.json.decode(body, type=list[Item])
    fault = build_shape_fault(caught.value, "messages")
    assert (fault.param, fault.message) == (param, message)
