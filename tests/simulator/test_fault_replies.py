"""Each fault that is a reply of its own has the status, headers and body of its row."""

import email.utils
from typing import Any

import pytest

from proxy.simulator.plan import Head, Raw
from proxy.simulator.server import RunningSimulator
from tests.simulator.asking import NOW, answer_of, ask_raw, body_of, chat_body, chat_plan


def _head(fault: str, **more: Any) -> Head:
    plan = chat_plan(f"sim-fault-{fault}", **more)
    return next(step for step in plan.steps if isinstance(step, Head))


@pytest.mark.parametrize(
    ("fault", "status", "type_", "code"),
    [
        ("u21-429-seconds", 429, "requests", "rate_limit_exceeded"),
        ("u22-quota", 429, "insufficient_quota", "insufficient_quota"),
        ("u23-503", 503, "service_unavailable_error", "server_is_overloaded"),
        ("u23-529", 529, "overloaded_error", None),
        ("u24-500", 500, "server_error", None),
        ("u25-401", 401, "invalid_request_error", "invalid_api_key"),
        ("u25-403", 403, "permission_error", None),
        ("u26-404", 404, "invalid_request_error", "model_not_found"),
        ("u27-context-length", 400, "invalid_request_error", "context_length_exceeded"),
        ("u27-content-filter", 400, "invalid_request_error", "content_policy_violation"),
        ("u27-bad-param", 400, "invalid_request_error", "unsupported_parameter"),
        ("u40-early-400", 400, "invalid_request_error", None),
    ],
)
def test_errors(fault: str, status: int, type_: str, code: str | None) -> None:
    """The status and OpenAI's error object with the type and code of the case."""
    error = answer_of(chat_plan(f"sim-fault-{fault}"))["error"]
    assert _head(fault).status == status
    assert (error["type"], error["code"]) == (type_, code)


def test_limits_say_how_long_in_every_way() -> None:
    """429 comes with seconds, with milliseconds, with a date, and without anything."""
    assert ("retry-after", "2") in _head("u21-429-seconds").headers
    assert ("retry-after-ms", "150") in _head("u21-429-ms").headers
    date = dict(_head("u21-429-date").headers)["retry-after"]
    assert email.utils.parsedate_to_datetime(date).timestamp() == NOW + 2
    assert not [name for name, _ in _head("u21-429-bare").headers if "retry" in name]


@pytest.mark.parametrize(("fault", "status"), [("502", 502), ("504", 504), ("524", 524)])
def test_gateways_answer_with_pages(fault: str, status: int) -> None:
    """The errors of gateways in between are HTML."""
    assert _head(f"u24-{fault}").status == status
    assert body_of(chat_plan(f"sim-fault-u24-{fault}")).startswith(b"<html>")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_point_elsewhere(status: int) -> None:
    """The Location is a metadata address, or what the request asks for."""
    metadata = {"sim": {"location": "http://127.0.0.1:9/canary"}}
    assert dict(_head(f"u30-{status}").headers)["location"].startswith("http://169.254.169.254/")
    head = _head(f"u30-{status}", metadata=metadata)
    assert (head.status, dict(head.headers)["location"]) == (status, "http://127.0.0.1:9/canary")


async def test_redirects_travel(simulator: RunningSimulator) -> None:
    """Over HTTP a redirect has its Location and an empty body."""
    reply = await ask_raw(simulator, chat_body("sim-fault-u30-302"))
    assert reply.head.startswith("http/1.1 302 found\r\nlocation: http://169.254.169.254/")
    assert reply.body == b""


async def test_interim_flood(simulator: RunningSimulator) -> None:
    """u31-interim-flood: a thousand 103 responses, then the good answer."""
    reply = await ask_raw(simulator, chat_body("sim-fault-u31-interim-flood"))
    assert reply.wire.count(b"HTTP/1.1 103 ") == 1000
    assert reply.wire.count(b"HTTP/1.1 200 OK\r\n") == 1


async def test_many_headers(simulator: RunningSimulator) -> None:
    """u31-many-headers: a thousand of them and then the answer that was promised."""
    reply = await ask_raw(simulator, chat_body("sim-fault-u31-many-headers", stream=True))
    assert reply.head.count("x-padding-") == 1000
    assert f"content-length: {len(reply.body)}\r\n" in reply.head


async def test_big_header(simulator: RunningSimulator) -> None:
    """u31-big-header: one header of 100,000 bytes."""
    reply = await ask_raw(simulator, chat_body("sim-fault-u31-big-header"))
    assert max(map(len, reply.head.split("\r\n"))) > 100_000


async def test_junk_status(simulator: RunningSimulator) -> None:
    """u31-junk-status: what comes is no HTTP."""
    reply = await ask_raw(simulator, chat_body("sim-fault-u31-junk-status"))
    assert reply.wire.startswith(b"ICE/9.9 ")


def test_broken_heads_have_an_error_for_the_inside() -> None:
    """Each raw head says what a real transport would report, for the in-process face."""
    for fault in ("interim-flood", "many-headers", "big-header", "junk-status"):
        steps = chat_plan(f"sim-fault-u31-{fault}").steps
        (raw,) = [step for step in steps if isinstance(step, Raw)]
        assert raw.error
