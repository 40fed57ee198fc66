"""Tests of `proxy/domain/exchange.py`."""

import pytest

from proxy.domain.exchange import OutboundRequest, ResponseHead
from proxy.domain.settings import Clocks


def test_an_outbound_request_does_not_print_its_key_or_body() -> None:
    """The repr of a request names method, address and size only."""
    request = OutboundRequest(
        provider="p",
        method="POST",
        url="http://h/v1/chat/completions",
        headers={"Authorization": "Bearer sk-canary"},
        body=b"a prompt",
        streams=True,
        clocks=Clocks(),
    )
    assert repr(request) == "<OutboundRequest POST http://h/v1/chat/completions 8 bytes>"


@pytest.mark.parametrize(
    ("value", "media_type"),
    [
        ("text/event-stream; charset=utf-8", "text/event-stream"),
        ("Application/JSON", "application/json"),
        (" text/html ;x", "text/html"),
        ("", ""),
    ],
)
def test_the_media_type_is_the_content_type_without_parameters(value: str, media_type: str) -> None:
    """Case, blanks and parameters of a content type do not matter."""
    assert ResponseHead(200, {"content-type": value}).media_type == media_type


def test_no_content_type_is_no_media_type() -> None:
    """A head without a content type has the media type ""."""
    assert ResponseHead(200, {}).media_type == ""
