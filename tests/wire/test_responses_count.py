"""How many tokens the input of a response has, as OpenAI says it."""

import msgspec
import pytest

from proxy.domain.errors import UpstreamError, UpstreamOverloaded
from proxy.domain.usage import Usage
from proxy.wire.responses_count import build_input_tokens, read_input_tokens


def test_a_count_passes_as_it_came_and_costs_nothing() -> None:
    """What is built is read back, with fields that nobody here knows beside it."""
    body = build_input_tokens(7)
    assert msgspec.json.decode(body) == {"object": "response.input_tokens", "input_tokens": 7}
    more = body[:-1] + b',"new":1}'
    answer = read_input_tokens(more)
    assert (answer.body, answer.usage) == (more, Usage(0, 0))


@pytest.mark.parametrize(
    "body", [b"{}", b"<html>", b'{"input_tokens":-1}', b'{"input_tokens":1.5}']
)
def test_what_is_no_count_is_refused(body: bytes) -> None:
    """Nothing but a number of tokens is one."""
    with pytest.raises(UpstreamError):
        read_input_tokens(body)


def test_an_error_inside_is_what_it_stands_for() -> None:
    """A 200 that holds an error is no count."""
    with pytest.raises(UpstreamOverloaded):
        read_input_tokens(b'{"error":{"message":"busy","code":"server_is_overloaded"}}')
