"""JSON that passes: an error inside of it is one, and what it counts is read."""

import pytest

from proxy.domain.errors import UpstreamError, UpstreamProtocolError, UpstreamServerError
from proxy.domain.usage import Usage
from proxy.wire.passed_json import read_passed_json


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (b'{"text":"a","usage":{"input_tokens":3,"output_tokens":2}}', Usage(3, 2)),
        (b'{"usage":{"type":"tokens","input_tokens":3}}', Usage(3, 0)),
        (b'{"usage":{"prompt_tokens":3,"total_tokens":3}}', Usage(3, 0)),
        (b'{"usage":{"type":"duration","seconds":9}}', None),
        (b'{"usage":{"input_tokens":-1}}', None),
        (b'{"usage":{"input_tokens":99999999999}}', None),
        (b'{"usage":null,"error":null,"object":"batch"}', None),
        (b'{"usage":"none","object":3}', None),
        (b"{}", None),
        (b"[1,2]", None),
        (b'"text"', None),
    ],
)
def test_what_was_used_is_read_where_it_can_be(body: bytes, usage: Usage | None) -> None:
    """Both ways to count tokens are known; of all else there is no usage, and no error."""
    assert read_passed_json(body) == usage


@pytest.mark.parametrize(
    "body",
    [b'{"error":{"message":"no","type":"server_error"}}', b'{"object":"error","message":"no"}'],
)
def test_an_error_inside_a_success_is_one(body: bytes) -> None:
    """An answer whose words are an error's is classified by them."""
    with pytest.raises(UpstreamServerError):
        read_passed_json(body)


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":1} {"b":2}', b"<html>", b'{"a":' * 100_000])
def test_what_is_no_json_is_no_answer(body: bytes) -> None:
    """Bytes that only say that they are JSON are the provider's failure."""
    with pytest.raises(UpstreamError) as caught:
        read_passed_json(body)
    assert isinstance(caught.value, UpstreamProtocolError)
