"""Tests of `proxy/wire/provider_fault.py`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.provider_fault import UpstreamFault, parse_fault, read_fault

GOOGLE_DETAILS = [
    {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [
            {
                "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier",
                "quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier",
                "quotaDimensions": {"location": "global", "model": "m"},
                "quotaValue": "250000",
            },
            {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"},
        ],
    },
    {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "x", "url": "y"}]},
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"},
]
GOOGLE = UpstreamFault(
    "m",
    "RESOURCE_EXHAUSTED",
    status=429,
    retry_delay="34.4s",
    quota_ids=(
        "GenerateContentInputTokensPerModelPerMinute-FreeTier",
        "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
    ),
)

SHAPES = {
    "openai": (
        {"error": {"message": "m", "type": "t", "param": "p", "code": "c"}},
        UpstreamFault("m", "t", "c", "p"),
    ),
    "azure gateway": (
        {"error": {"code": "401", "message": "Access denied"}},
        UpstreamFault("Access denied", status=401),
    ),
    "azure api management": ({"statusCode": 429, "message": "m"}, UpstreamFault("m", status=429)),
    "azure filter": (
        {"error": {"message": "m", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        UpstreamFault("m", reason="ResponsibleAIPolicyViolation"),
    ),
    "azure filter, its other spelling": (
        {"error": {"message": "m", "inner_error": {"code": "ResponsibleAIPolicyViolation"}}},
        UpstreamFault("m", reason="ResponsibleAIPolicyViolation"),
    ),
    "google, its status": (
        {
            "error": {
                "code": 400,
                "message": "m",
                "status": "INVALID_ARGUMENT",
                "details": [{"@type": "x"}, {"reason": "API_KEY_INVALID", "domain": "d"}],
            }
        },
        UpstreamFault("m", "INVALID_ARGUMENT", reason="API_KEY_INVALID", status=400),
    ),
    "a status that is no word of google's": (
        {"error": {"message": "m", "status": "failed"}},
        UpstreamFault("m"),
    ),
    "xai object": ({"error": {"message": "m", "code": "c"}}, UpstreamFault("m", code="c")),
    "xai flat": (
        {"code": "Client specified an invalid argument", "error": "m"},
        UpstreamFault("m"),
    ),
    "xai text": ({"error": "m"}, UpstreamFault("m")),
    "perplexity": (
        {"error": {"message": "m", "type": "invalid_model", "code": 400}},
        UpstreamFault("m", "invalid_model", status=400),
    ),
    "openrouter": (
        {"error": {"code": 403, "message": "m", "metadata": {"reasons": ["violence"]}}},
        UpstreamFault("m", status=403, is_moderated=True),
    ),
    "openrouter type": (
        {"error": {"code": 429, "message": "m", "metadata": {"error_type": "rate_limit_exceeded"}}},
        UpstreamFault("m", reason="rate_limit_exceeded", status=429),
    ),
    "openrouter headers": (
        {
            "error": {
                "code": 429,
                "message": "m",
                "metadata": {"headers": {"X-RateLimit-Reset": "1", "X-Odd": 5}},
            }
        },
        UpstreamFault("m", status=429, headers={"x-ratelimit-reset": "1"}),
    ),
    "google": (
        {
            "error": {
                "code": 429,
                "message": "m",
                "status": "RESOURCE_EXHAUSTED",
                "details": GOOGLE_DETAILS,
            }
        },
        GOOGLE,
    ),
    "google in an array": (
        [
            {
                "error": {
                    "code": 429,
                    "message": "m",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": GOOGLE_DETAILS,
                }
            }
        ],
        GOOGLE,
    ),
    "google code assist": (
        {
            "error": {
                "code": 429,
                "message": "m",
                "errors": [{"message": "m", "domain": "global", "reason": "rateLimitExceeded"}],
                "details": [
                    {
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": "RATE_LIMIT_EXCEEDED",
                        "metadata": {"quota_limit": "Gemini25ProRequestsPerDay"},
                    }
                ],
            }
        },
        UpstreamFault(
            "m",
            reason="RATE_LIMIT_EXCEEDED",
            status=429,
            quota_ids=("Gemini25ProRequestsPerDay",),
        ),
    ),
    "details of other kinds": (
        {"error": {"message": "m", "details": [5, None, {"retryDelay": 5, "violations": "x"}]}},
        UpstreamFault("m"),
    ),
    "details that are none": (
        {"error": {"message": "m", "details": {"retryDelay": "5s"}}},
        UpstreamFault("m"),
    ),
    "details too long": (
        {
            "error": {
                "message": "m",
                "details": [
                    {"retryDelay": "5" * 200, "violations": [{"quotaId": "x" * 200}]},
                    *[{}] * 20,
                    {"retryDelay": "5s"},
                ],
            }
        },
        UpstreamFault("m"),
    ),
    "mistral flat": (
        {"object": "error", "message": "m", "type": "t", "param": None, "code": "1500"},
        UpstreamFault("m", "t"),
    ),
    "mistral nested": (
        {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "m"}]}},
        UpstreamFault("m", param="n"),
    ),
    "mistral detail": (
        {"detail": [{"type": "missing", "loc": ["body", "messages", 0, "role"], "msg": "m"}]},
        UpstreamFault("m", "missing", param="messages.0.role"),
    ),
    "detail text": ({"detail": "Unauthorized"}, UpstreamFault("Unauthorized")),
    "llama.cpp": (
        {"error": {"code": 400, "message": "m", "type": "exceed_context_size_error", "n_ctx": 8}},
        UpstreamFault("m", "exceed_context_size_error", status=400),
    ),
    "vllm old": (
        {"object": "error", "message": "m", "type": "BadRequestError", "param": None, "code": 400},
        UpstreamFault("m", "BadRequestError", status=400),
    ),
    "array": ([{"error": {"message": "m", "code": 400}}], UpstreamFault("m", status=400)),
    "errors": ({"errors": [{"message": "m"}]}, UpstreamFault("m")),
    "text": ("m", UpstreamFault("m")),
    "empty object": ({}, UpstreamFault()),
    "empty array": ([], UpstreamFault()),
    "null": (None, UpstreamFault()),
    "number": (5, UpstreamFault()),
    "flag": ({"error": True}, UpstreamFault()),
    "too deep": ({"error": {"error": {"error": {"error": {"error": "m"}}}}}, UpstreamFault()),
    "strange types": (
        {"error": {"message": 5, "type": [], "code": {}, "param": 7, "metadata": "x"}},
        UpstreamFault(),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_is_understood(name: str) -> None:
    """What a body says is found wherever its provider puts it."""
    value, fault = SHAPES[name]
    assert read_fault(value) == fault
    assert parse_fault(json.dumps(value).encode()) == fault


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", ""),
        (b"   ", ""),
        (b"upstream connect error", "upstream connect error"),
        (b"<html><h1>502</h1></html>", "<html><h1>502</h1></html>"),
        (b"\xef\xbb\xbf no json", "no json"),
        (b"caf\xe9", "caf\ufffd"),
        (b'{"error": {"message": "cut of', ""),
        (b"[" * 100_000, ""),
        (b'{"error":{"message":"\xff"}}', ""),
        (b"x" * 1_000_000, "x" * 4096),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_is_no_json_is_text_or_nothing(body: bytes, message: str) -> None:
    """Pages and plain text are the message; JSON that cannot be read says nothing."""
    assert parse_fault(body) == UpstreamFault(
        message, is_page=body.lstrip()[:1] not in (b"{", b"[")
    )


def test_a_text_in_json_is_no_page() -> None:
    """An API that answers with a string has spoken, a page has not."""
    assert parse_fault(b'"Not found"') == UpstreamFault("Not found")


@pytest.mark.parametrize("code", ["9" * 5000, 10**30, -400, 200, 399, 600, "\uff1400", True, 4.5])
def test_only_an_error_status_is_a_status(code: object) -> None:
    """Numbers that are no HTTP error status are ignored."""
    assert read_fault({"error": {"message": "m", "code": code}}).status == 0


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "error",
                        "errors",
                        "detail",
                        "details",
                        "message",
                        "code",
                        "loc",
                        "metadata",
                        "headers",
                        "violations",
                        "quotaId",
                        "retryDelay",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_nothing_raises(value: object) -> None:
    """Any JSON value gives a fault."""
    assert isinstance(read_fault(value), UpstreamFault)


def test_an_error_that_came_as_a_text_is_read() -> None:
    """Ollama puts the error of the server behind it into its own, as JSON in a string."""
    told = {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}
    body = json.dumps({"error": json.dumps(told)}).encode()
    assert parse_fault(body) == UpstreamFault("too long", "exceed_context_size_error", status=400)
    for text in ('{"error":', '{"error": ' + '"x' * 5000, "{} is no name"):
        assert parse_fault(json.dumps({"error": text}).encode()).message == text
