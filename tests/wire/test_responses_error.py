"""What went wrong with a response, by what its provider says of it inside a 200."""

import json

import pytest

from proxy.domain.errors import (
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamServerError,
)
from proxy.wire.openai_error import build_error_body
from proxy.wire.responses_error import read_error_event, read_failed_response


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", UpstreamServerError),
        ("rate_limit_exceeded", UpstreamRateLimited),
        ("server_is_overloaded", UpstreamOverloaded),
        ("vector_store_timeout", UpstreamServerError),
        ("invalid_prompt", UpstreamRejected),
        ("bio_policy", UpstreamRejected),
        ("image_too_large", UpstreamRejected),
        ("failed_to_download_image", UpstreamRejected),
    ],
)
def test_a_failed_response_is_judged_by_its_code(code: str, kind: type[UpstreamError]) -> None:
    """What speaks of the request is the client's to mend; the rest counts against the provider."""
    error = read_failed_response(json.dumps({"error": {"code": code, "message": "No."}}).encode())
    assert isinstance(error, kind)
    assert error.counts_against_health == issubclass(kind, UpstreamServerError | UpstreamOverloaded)


def test_both_forms_of_an_event_say_the_same() -> None:
    """The error stands in the event itself, or in its member `error`."""
    flat = {"type": "error", "code": "invalid_prompt", "message": "No.", "param": "input"}
    nested = {"type": "error", "error": {**flat, "type": "invalid_request_error"}}
    for event in (flat, nested):
        error = read_error_event(json.dumps(event).encode())
        assert isinstance(error, UpstreamRejected)
        told = build_error_body(error)
        assert json.loads(told)["error"] == {
            "code": "invalid_prompt",
            "message": "No.",
            "param": "input",
            "type": "invalid_request_error",
        }


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"error":{', b'{"error":null}', b"null"])
def test_what_says_nothing_is_a_fault_of_the_provider(data: bytes) -> None:
    """Its words cannot be read, but something has gone wrong."""
    assert isinstance(read_error_event(data), UpstreamServerError)
    assert isinstance(read_failed_response(data), UpstreamServerError)
