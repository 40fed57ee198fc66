"""Tests of `proxy/wire/anthropic_error.py`."""

import json

import httpx2
import pytest
from anthropic import Anthropic, APIStatusError
from anthropic.types import ErrorResponse

from proxy.domain import errors
from proxy.domain.errors import ProxyError
from proxy.wire.anthropic_error import build_error_body, build_error_event

TOO_LONG = "context_length_exceeded"


def told(error: ProxyError) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(build_error_body(error, "r1"))
    return found


def rejected(message: str) -> str:
    error = errors.UpstreamRejected(400, message, code=TOO_LONG)
    return str(told(error)["error"]["message"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.InvalidRequest(), "invalid_request_error"),
        (errors.InvalidApiKey(), "authentication_error"),
        (errors.PermissionDenied(), "permission_error"),
        (errors.ModelNotFound("m"), "not_found_error"),
        (errors.MethodNotAllowed(), "invalid_request_error"),
        (errors.RequestTimeout(), "timeout_error"),
        (errors.BodyTooLarge(), "request_too_large"),
        (errors.UnsupportedMediaType(), "invalid_request_error"),
        (errors.LimitExceeded(), "rate_limit_error"),
        (errors.UpstreamQuotaExhausted(), "rate_limit_error"),
        (errors.UpstreamUnreachable(), "api_error"),
        (errors.UpstreamOverloaded(), "overloaded_error"),
        (errors.NoHealthyProvider(), "overloaded_error"),
        (errors.DeadlineExceeded(), "timeout_error"),
        (errors.InternalError(), "api_error"),
        (errors.UpstreamRejected(402), "billing_error"),
        (errors.UpstreamRejected(409), "conflict_error"),
        (errors.UpstreamRejected(422), "invalid_request_error"),
    ],
)
def test_the_status_says_the_type(error: ProxyError, expected: str) -> None:
    """A client of Anthropic's finds the type that it knows for the status it got."""
    assert told(error)["error"]["type"] == expected


def test_code_and_param_stand_in_the_details() -> None:
    """What an OpenAI client is told is not lost to one of Anthropic's."""
    error = errors.InvalidRequest("'n' is wrong.", param="n", code="invalid_number")
    assert told(error) == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "'n' is wrong.",
            "details": {"error_code": "invalid_number", "param": "n"},
        },
        "request_id": "r1",
    }
    assert "details" not in told(errors.InvalidRequest("no"))["error"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "This model's maximum context length is 8,192 tokens. However, your messages resulted "
            "in 9001 tokens.",
            "prompt is too long: 9001 tokens > 8192 maximum",
        ),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 "
            "tokens (4000 in the messages, 1000 in the completion).",
            "prompt is too long: 5000 tokens > 4096 maximum",
        ),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed "
            "(1048576).",
            "prompt is too long: 1200000 tokens > 1048576 maximum",
        ),
        (
            "too many tokens: total number of tokens in the prompt cannot exceed 8192 - received "
            "9001. Try using a shorter prompt.",
            "prompt is too long: 9001 tokens > 8192 maximum",
        ),
        (
            "the request (9000 tokens) exceeds the available context size (8192 tokens), try "
            "increasing it",
            "prompt is too long: 9000 tokens > 8192 maximum",
        ),
        (
            "Please reduce the length of the messages.",
            "prompt is too long: Please reduce the length of the messages.",
        ),
        (
            "prompt is too long: 201000 tokens > 200000 maximum",
            "prompt is too long: 201000 tokens > 200000 maximum",
        ),
    ],
)
def test_a_prompt_that_is_too_long_is_told_in_anthropics_words(message: str, expected: str) -> None:
    """Agents that shorten their prompts at these words do so whoever was asked."""
    assert rejected(message) == expected


def test_other_errors_keep_their_words() -> None:
    """Only what is about the length of the prompt is put into other words."""
    message = "maximum context length is 10 and resulted in 20"
    assert told(errors.InvalidRequest(message))["error"]["message"] == message


def test_the_event_has_a_name_and_the_body() -> None:
    """Clients of Anthropic's pass over events without a name."""
    error = errors.UpstreamTruncated()
    body = build_error_body(error, "r1")
    assert build_error_event(error, "r1") == b"event: error\ndata: " + body + b"\n\n"
    assert b"\n" not in body


@pytest.mark.parametrize("error", [errors.InvalidRequest("no", param="n"), errors.InternalError()])
def test_anthropics_own_types_read_it(error: ProxyError) -> None:
    """The SDK's model of an error takes ours, details included."""
    found = ErrorResponse.model_validate_json(build_error_body(error, "r1"))
    assert (found.error.message, found.request_id) == (error.message, "r1")


def test_anthropics_sdk_raises_its_exception() -> None:
    """The SDK reads message and type out of the body."""
    error = errors.InvalidApiKey()
    body = build_error_body(error, "r1")

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(error.status, content=body, headers={"request-id": "r1"})

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    with (
        Anthropic(api_key="k", base_url="http://proxy", http_client=http, max_retries=0) as client,
        pytest.raises(APIStatusError) as found,
    ):
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    assert found.value.status_code == 401
    assert found.value.body == json.loads(body)
