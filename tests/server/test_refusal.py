"""The last answer of a connection: whole, in one shape, and without a word of the client's."""

import msgspec
import pytest
from aiohttp.http_exceptions import BadHttpMessage, InvalidHeader, LineTooLong

from proxy.domain.errors import MethodNotAllowed
from proxy.server.refusal import build_parser_error, build_refusal, build_refusal_record
from proxy.wire.dialects import find_dialect

SECRET = "sk-4ff0e1c2"


def test_a_refusal_is_a_whole_answer() -> None:
    """HTTP/1.1 with our name, the id, a length and the announcement that it is the last."""
    refusal = build_refusal(MethodNotAllowed(), "req_1", {"Allow": "GET"})
    head, _, body = refusal.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 405 Method Not Allowed"
    assert {"Server: llm-proxy-api", "x-request-id: req_1", "Allow: GET", "Connection: close",
            f"Content-Length: {len(body)}"} < set(lines)  # fmt: skip
    assert msgspec.json.decode(body)["error"].keys() == {"message", "type", "param", "code"}


def test_a_refusal_speaks_the_clients_dialect() -> None:
    """Anthropic's clients find the id under their own name, and in the body."""
    refusal = build_refusal(MethodNotAllowed(), "req_1", dialect=find_dialect("messages"))
    head, _, body = refusal.partition(b"\r\n\r\n")
    assert "request-id: req_1" in head.decode().split("\r\n")
    assert msgspec.json.decode(body)["request_id"] == "req_1"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (LineTooLong(SECRET, 8190), 431),
        (BadHttpMessage("Too many headers received"), 431),
        (InvalidHeader(SECRET), 400),
        (BadHttpMessage(f"Too many headers received {SECRET}"), 400),
        (ValueError(SECRET), 400),
    ],
)
def test_the_parsers_words_stay_inside(error: Exception, status: int) -> None:
    """Sizes are 431, all else is 400 `invalid_http`; nothing that the parser quotes gets out."""
    refused = build_parser_error(error)
    assert refused.status == status
    assert refused.code == ("invalid_http" if status == 400 else "request_head_too_large")
    assert SECRET not in refused.message


def test_its_record_has_no_path() -> None:
    """What could not be read is counted under `other`."""
    record = build_refusal_record(MethodNotAllowed(), "req_1")
    assert (record.endpoint, record.status, record.ending) == ("other", 405, "failed")
    assert record.error_code == "method_not_allowed"
