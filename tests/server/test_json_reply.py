"""Small answers of our own."""

import msgspec

from proxy.domain.errors import MethodNotAllowed
from proxy.server.json_reply import error_reply, json_reply
from proxy.wire.dialects import find_dialect


def test_a_value_is_json_under_our_name() -> None:
    """Status, type and server name are ours; nothing tells which software runs here."""
    reply = json_reply({"a": 1}, status=503)
    assert (reply.status, reply.body) == (503, b'{"a":1}')
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Server"] == "llm-proxy-api"


def test_an_error_has_all_four_keys() -> None:
    """Every error carries OpenAI's four keys, and headers that belong to it."""
    reply = error_reply(MethodNotAllowed(), find_dialect("chat"), "req_1", {"Allow": "GET"})
    assert isinstance(reply.body, bytes)
    error = msgspec.json.decode(reply.body)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert reply.headers["Allow"] == "GET"
