"""Tests of `proxy/wire/openai_error.py`: what real error bodies mean."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from multidict import CIMultiDict

from proxy.domain import errors as e
from proxy.wire.openai_error import (
    NO_VALUE,
    build_error_body,
    build_error_event,
    check_no_error,
    read_error_answer,
    read_error_object,
)

CONTEXT = "context_length_exceeded"
POLICY = "content_policy_violation"


def openai(message: str, type_: str = "invalid_request_error", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": None, "code": None} | more}


def google(message: str, *quota_ids: str, retry_delay: str | None = None) -> dict[str, Any]:
    details: list[dict[str, Any]] = []
    if quota_ids:
        violations = [{"quotaId": quota_id} for quota_id in quota_ids]
        details.append({"@type": "google.rpc.QuotaFailure", "violations": violations})
    if retry_delay is not None:
        details.append({"@type": "google.rpc.RetryInfo", "retryDelay": retry_delay})
    status = "RESOURCE_EXHAUSTED"
    return {"error": {"code": 429, "message": message, "status": status, "details": details}}


def google_status(status: int, word: str, message: str, reason: str = "") -> dict[str, Any]:
    details = [{"@type": "google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return {"error": {"code": status, "message": message, "status": word, "details": details}}


def anthropic(kind: str, message: str = "m", **details: Any) -> dict[str, Any]:
    error = {"type": kind, "message": message} | ({"details": details} if details else {})
    return {"type": "error", "error": error, "request_id": "req_1"}


SPENT = "You exceeded your current quota, please check your plan and billing details."
MINUTE = "GenerateContentInputTokensPerModelPerMinute-FreeTier"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


def answer(status: int, body: object, **headers: str) -> e.UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_error_answer(status, headers, raw, 0.0)


# (case, status, body) -> (class, status, code)
REJECTED: list[tuple[str, int, object, int, str | None]] = [
    ("openai bad value", 400, openai("m", param="temperature"), 400, None),
    ("openai param", 400, openai("m", code="unsupported_parameter"), 400, "unsupported_parameter"),
    ("openai context", 400, openai("m", code=CONTEXT), 400, CONTEXT),
    (
        "openai context words",
        400,
        openai("Input tokens exceed the configured limit of 9."),
        400,
        CONTEXT,
    ),
    ("openai policy", 400, openai("m", code=POLICY), 400, POLICY),
    (
        "openai safety words",
        400,
        openai("Your request was rejected as a result of our safety system."),
        400,
        POLICY,
    ),
    (
        "openai long string",
        400,
        openai("string too long; maximum context length", code="string_above_max_length"),
        400,
        "string_above_max_length",
    ),
    (
        "azure filter",
        400,
        {
            "error": {
                "code": "content_filter",
                "message": "m",
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
        400,
        "content_filter",
    ),
    (
        "azure filter, told inside only",
        400,
        {"error": {"message": "m", "inner_error": {"code": "ResponsibleAIPolicyViolation"}}},
        400,
        "content_policy_violation",
    ),
    ("xai flat", 400, {"code": "Client specified an invalid argument", "error": "m"}, 400, None),
    ("xai text", 422, {"error": "m"}, 422, None),
    (
        "xai prompt",
        400,
        {"error": "This model's maximum prompt length is 5 but the request contains 9 tokens"},
        400,
        CONTEXT,
    ),
    ("perplexity", 400, {"error": {"message": "m", "type": "bad_request", "code": 400}}, 400, None),
    (
        "openrouter moderation",
        403,
        {
            "error": {
                "code": 403,
                "message": "m",
                "metadata": {"reasons": ["x"], "flagged_input": "y"},
            }
        },
        400,
        POLICY,
    ),
    (
        "openrouter policy",
        403,
        {"error": {"code": 403, "message": "m", "metadata": {"error_type": POLICY}}},
        400,
        POLICY,
    ),
    (
        "openrouter refusal",
        400,
        {"error": {"code": 400, "message": "m", "metadata": {"error_type": "refusal"}}},
        400,
        POLICY,
    ),
    (
        "openrouter tokens",
        400,
        {"error": {"code": 400, "message": "m", "metadata": {"error_type": "max_tokens_exceeded"}}},
        400,
        CONTEXT,
    ),
    (
        "groq json",
        400,
        openai("m", code="json_validate_failed", failed_generation="x"),
        400,
        "json_validate_failed",
    ),
    (
        "groq context",
        413,
        openai("Please reduce the length of the messages or completion."),
        400,
        CONTEXT,
    ),
    (
        "together context",
        403,
        openai("`inputs` tokens + `max_new_tokens` must be <= 4096"),
        400,
        CONTEXT,
    ),
    (
        "mistral detail",
        422,
        {"detail": [{"loc": ["body", "x"], "msg": "m", "type": "extra"}]},
        422,
        None,
    ),
    (
        "mistral context",
        400,
        {
            "object": "error",
            "message": "Prompt has 9 tokens, too large for model with 5 maximum context length",
        },
        400,
        CONTEXT,
    ),
    ("deepseek", 422, openai("m"), 422, None),
    (
        "llama.cpp context",
        400,
        {
            "error": {
                "code": 400,
                "message": "request (9 tokens) exceeds the available context size (5 tokens)",
                "type": "exceed_context_size_error",
            }
        },
        400,
        CONTEXT,
    ),
    (
        "llama.cpp embedding",
        500,
        {
            "error": {
                "code": 500,
                "message": "input is too large to process. increase the physical batch size",
                "type": "server_error",
            }
        },
        400,
        CONTEXT,
    ),
    (
        "llama.cpp unsupported",
        501,
        {"error": {"code": 501, "message": "m", "type": "not_supported_error"}},
        400,
        None,
    ),
    (
        "vllm",
        400,
        {"error": {"message": "m", "type": "BadRequestError", "param": None, "code": 400}},
        400,
        None,
    ),
    (
        "vllm old context",
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 5 tokens.",
            "type": "BadRequestError",
            "code": 400,
        },
        400,
        CONTEXT,
    ),
    (
        "gemini context",
        400,
        google_status(
            400,
            "INVALID_ARGUMENT",
            "The input token count (5) exceeds the maximum number of tokens allowed (4).",
        ),
        400,
        CONTEXT,
    ),
    (
        "gemini bytes",
        400,
        google_status(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 5 bytes."),
        400,
        CONTEXT,
    ),
    ("gemini argument", 400, google_status(400, "INVALID_ARGUMENT", "m"), 400, None),
    ("anthropic request", 400, anthropic("invalid_request_error"), 400, None),
    (
        "anthropic context",
        400,
        anthropic("invalid_request_error", "prompt is too long: 200251 tokens > 200000 maximum"),
        400,
        CONTEXT,
    ),
    (
        "anthropic context and answer",
        400,
        anthropic(
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        ),
        400,
        CONTEXT,
    ),
    (
        "anthropic prompt",
        400,
        anthropic("invalid_request_error", "prompt: length must be less than 5"),
        400,
        CONTEXT,
    ),
    (
        "anthropic filter",
        400,
        anthropic("invalid_request_error", "Output blocked by content filtering policy"),
        400,
        "content_policy_violation",
    ),
    (
        "anthropic quoted",
        400,
        anthropic("invalid_request_error", "bad text: 'Your credit balance is too low'"),
        400,
        None,
    ),
    ("anthropic bytes", 413, anthropic("request_too_large"), 413, None),
    ("too large", 413, b"", 413, None),
    ("media type", 415, b"", 415, None),
    ("legal", 451, {"error": "m"}, 451, None),
    ("array", 400, [{"error": {"message": "m", "code": "c"}}], 400, "c"),
    ("text", 400, "m", 400, None),
]
PROVIDERS_FAULT: list[tuple[str, int, object, type[e.UpstreamError]]] = [
    (
        "openai key",
        401,
        openai("Incorrect API key provided: sk-ab***cd", code="invalid_api_key"),
        e.UpstreamAuthError,
    ),
    (
        "openai region",
        403,
        openai("Country not supported", code="unsupported_country"),
        e.UpstreamAuthError,
    ),
    (
        "azure gateway key",
        401,
        {"error": {"code": "401", "message": "Access denied"}},
        e.UpstreamAuthError,
    ),
    (
        "xai wrong key",
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Incorrect API key provided: xa***aa.",
        },
        e.UpstreamAuthError,
    ),
    ("vllm key", 401, {"error": "Unauthorized"}, e.UpstreamAuthError),
    ("mistral key", 401, {"detail": "Unauthorized"}, e.UpstreamAuthError),
    ("cohere key", 401, {"message": "invalid api token"}, e.UpstreamAuthError),
    ("cohere blocked key", 498, {"message": "blocked token"}, e.UpstreamAuthError),
    (
        "cohere month",
        429,
        {"message": "You are using a Trial key, which is limited to 1000 API calls / month."},
        e.UpstreamQuotaExhausted,
    ),
    (
        "cohere minute",
        429,
        {"message": "You are using a Trial key, which is limited to 20 API calls / minute."},
        e.UpstreamRateLimited,
    ),
    ("proxy key", 407, b"", e.UpstreamAuthError),
    ("openai model", 404, openai("m", code="model_not_found"), e.UpstreamModelNotFound),
    (
        "azure deployment",
        404,
        {"error": {"code": "DeploymentNotFound", "message": "m"}},
        e.UpstreamModelNotFound,
    ),
    ("retired model", 410, b"", e.UpstreamModelNotFound),
    ("page not found", 404, b"<html>404</html>", e.UpstreamModelNotFound),
    (
        "openai quota",
        429,
        openai("m", "insufficient_quota", code="insufficient_quota"),
        e.UpstreamQuotaExhausted,
    ),
    (
        "openai quota words",
        429,
        openai("You exceeded your current quota, please check your plan."),
        e.UpstreamQuotaExhausted,
    ),
    ("openai credits", 429, openai("m", code="credit_balance_exhausted"), e.UpstreamQuotaExhausted),
    ("deepseek money", 402, openai("Insufficient Balance"), e.UpstreamQuotaExhausted),
    ("openrouter money", 402, {"error": {"code": 402, "message": "m"}}, e.UpstreamQuotaExhausted),
    (
        "xai credits",
        403,
        {"error": "Your team doesn't have any credits yet"},
        e.UpstreamQuotaExhausted,
    ),
    (
        "openai rate",
        429,
        openai("m", "requests", code="rate_limit_exceeded"),
        e.UpstreamRateLimited,
    ),
    ("mistral rate", 429, {"message": "Requests rate limit exceeded"}, e.UpstreamRateLimited),
    ("empty 429", 429, b"", e.UpstreamRateLimited),
    ("anthropic key", 401, anthropic("authentication_error"), e.UpstreamAuthError),
    ("anthropic permission", 403, anthropic("permission_error"), e.UpstreamAuthError),
    (
        "anthropic closed",
        400,
        anthropic("invalid_request_error", "This organization has been disabled."),
        e.UpstreamAuthError,
    ),
    (
        "anthropic hold",
        400,
        anthropic("invalid_request_error", error_code="organization_on_hold"),
        e.UpstreamAuthError,
    ),
    ("anthropic money", 402, anthropic("billing_error"), e.UpstreamQuotaExhausted),
    (
        "anthropic credit",
        400,
        anthropic("invalid_request_error", "Your credit balance is too low to access the API."),
        e.UpstreamQuotaExhausted,
    ),
    (
        "anthropic own limit",
        400,
        anthropic(
            "invalid_request_error",
            "You have reached your specified API usage limits. You will regain access later.",
        ),
        e.UpstreamQuotaExhausted,
    ),
    (
        "anthropic spend limit",
        400,
        anthropic("invalid_request_error", error_code="contract_spend_limit_reached"),
        e.UpstreamQuotaExhausted,
    ),
    ("anthropic model", 404, anthropic("not_found_error", "model: x"), e.UpstreamModelNotFound),
    ("anthropic rate", 429, anthropic("rate_limit_error"), e.UpstreamRateLimited),
    (
        "anthropic ramp",
        429,
        anthropic("rate_limit_error", error_code="ramp_limit_exceeded"),
        e.UpstreamRateLimited,
    ),
    ("anthropic internal", 500, anthropic("api_error"), e.UpstreamServerError),
    ("anthropic timeout", 504, anthropic("timeout_error"), e.UpstreamTimeout),
    ("anthropic full", 529, anthropic("overloaded_error"), e.UpstreamOverloaded),
    (
        "anthropic encryption",
        400,
        anthropic("invalid_request_error", error_code="cmek_context_unavailable"),
        e.UpstreamOverloaded,
    ),
    (
        "gemini key",
        400,
        google_status(400, "INVALID_ARGUMENT", "API key expired.", "API_KEY_INVALID"),
        e.UpstreamAuthError,
    ),
    (
        "gemini key, words alone",
        400,
        google_status(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        e.UpstreamAuthError,
    ),
    (
        "gemini region",
        400,
        google_status(400, "FAILED_PRECONDITION", "User location is not supported for the API."),
        e.UpstreamAuthError,
    ),
    ("gemini denied", 403, google_status(403, "PERMISSION_DENIED", "m"), e.UpstreamAuthError),
    (
        "gemini model",
        404,
        google_status(404, "NOT_FOUND", "models/x is not found for API version v1beta, or is"),
        e.UpstreamModelNotFound,
    ),
    (
        "gemini credit",
        402,
        google_status(402, "RESOURCE_EXHAUSTED", "m"),
        e.UpstreamQuotaExhausted,
    ),
    ("gemini internal", 500, google_status(500, "INTERNAL", "m"), e.UpstreamServerError),
    ("gemini full", 503, google_status(503, "UNAVAILABLE", "m"), e.UpstreamOverloaded),
    ("gemini late", 504, google_status(504, "DEADLINE_EXCEEDED", "m"), e.UpstreamTimeout),
    ("gemini day", 429, google(SPENT, DAY, retry_delay="36s"), e.UpstreamQuotaExhausted),
    ("gemini day, too", 429, [google(SPENT, MINUTE, DAY)], e.UpstreamQuotaExhausted),
    ("gemini day, other words", 429, google("m", DAY), e.UpstreamQuotaExhausted),
    ("gemini minute", 429, google(SPENT, MINUTE, retry_delay="26s"), e.UpstreamRateLimited),
    ("gemini delay", 429, google(SPENT, retry_delay="26s"), e.UpstreamRateLimited),
    ("gemini words", 429, google(f"{SPENT}\nPlease retry in 36.4s."), e.UpstreamRateLimited),
    ("gemini money", 429, google(SPENT), e.UpstreamQuotaExhausted),
    (
        "openai overload",
        503,
        openai("m", "service_unavailable_error", code="server_is_overloaded"),
        e.UpstreamOverloaded,
    ),
    ("anthropic-like", 529, b"", e.UpstreamOverloaded),
    ("groq capacity", 498, openai("m", code="capacity_exceeded"), e.UpstreamOverloaded),
    (
        "llama.cpp loading",
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        e.UpstreamOverloaded,
    ),
    ("request timeout", 408, b"", e.UpstreamTimeout),
    ("gateway timeout", 504, b"<html>", e.UpstreamTimeout),
    ("cloudflare timeout", 524, b"", e.UpstreamTimeout),
    ("server error", 500, openai("m", "server_error"), e.UpstreamServerError),
    ("bad gateway page", 502, b"<html><h1>502 Bad Gateway</h1></html>", e.UpstreamServerError),
    ("cloudflare", 520, b"error code: 520", e.UpstreamServerError),
    ("rate at another status", 409, openai("m", code="slow_down"), e.UpstreamRateLimited),
    ("model at another status", 400, openai("m", code="unknown_model"), e.UpstreamModelNotFound),
    ("no such status", 999, b"", e.UpstreamServerError),
    ("redirect", 302, b"", e.UpstreamRedirect),
    ("redirect with words", 307, openai("m", code="insufficient_quota"), e.UpstreamRedirect),
]


# (case, status, body) -> (class, public status, code)
ABOUT_ONE_REQUEST: list[tuple[str, int, object, type[e.UpstreamError], int, str]] = [
    (
        "openrouter tools",
        404,
        {"error": {"message": "No endpoints found that support tool use.", "code": 404}},
        e.UpstreamModelNotFound,
        502,
        "upstream_not_found",
    ),
    (
        "openrouter money",
        402,
        {"error": {"message": "This request requires fewer max_tokens.", "code": 402}},
        e.UpstreamQuotaExhausted,
        429,
        "request_too_costly",
    ),
    (
        "groq tokens a minute",
        413,
        openai("Request too large for model `m`", "tokens", code="rate_limit_exceeded"),
        e.UpstreamRateLimited,
        429,
        "request_exceeds_limit",
    ),
    ("conflict", 409, b"", e.UpstreamError, 502, "upstream_refused"),
    ("client closed", 499, b"", e.UpstreamError, 502, "upstream_refused"),
    ("method", 405, b"", e.UpstreamError, 502, "upstream_refused"),
    (
        "an image that the client named",
        424,
        openai("Failed to download image from https://client.example/x.png"),
        e.UpstreamError,
        502,
        "upstream_refused",
    ),
]


@pytest.mark.parametrize("case", ABOUT_ONE_REQUEST, ids=lambda case: case[0])
def test_what_is_about_one_request_has_a_code_of_its_own(
    case: tuple[str, int, object, type[e.UpstreamError], int, str],
) -> None:
    """Another provider may take it, none is waited for, and nothing of its words is shown."""
    _, status, body, kind, public_status, code = case
    told = {"retry-after": "60", "x-ratelimit-reset-tokens": "7s"}
    error = answer(status, body, **told)
    assert type(error) is kind
    assert (error.status, error.code, error.param) == (public_status, code, None)
    assert error.may_retry
    assert error.retry_after_s is None
    said = body["error"]["message"] if isinstance(body, dict) else "m"
    assert said not in error.message


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case[0])
def test_what_the_client_can_mend_is_told_in_the_providers_words(
    case: tuple[str, int, object, int, str | None],
) -> None:
    """The client gets a 4xx with the provider's message and code; nothing is tried again."""
    _, status, body, public_status, code = case
    error = answer(status, body)
    assert type(error) is e.UpstreamRejected
    assert (error.status, error.code) == (public_status, code)
    assert not error.may_retry
    if body:
        said = json.dumps(body)
        assert error.message in said


@pytest.mark.parametrize("case", PROVIDERS_FAULT, ids=lambda case: case[0])
def test_what_is_not_the_clients_fault_shows_nothing_of_the_provider(
    case: tuple[str, int, object, type[e.UpstreamError]],
) -> None:
    """The class says what to do next; message, param and code are our own."""
    _, status, body, kind = case
    error = answer(status, body)
    assert type(error) is kind
    assert (error.message, error.param) == (kind.default_message, None)
    assert error.code == kind.code
    assert error.status not in (401, 403)


def test_the_field_that_is_wrong_is_named() -> None:
    """`param` reaches the client, also from the place in a validation error."""
    assert answer(400, openai("m", param="tools[0]")).param == "tools[0]"
    detail = [{"loc": ["body", "messages", 0], "msg": "m"}]
    assert answer(422, {"detail": detail}).param == "messages.0"


def test_what_the_client_reads_is_masked_and_short() -> None:
    """Keys in message, param and code are masked; a megabyte is cut to 500 characters."""
    key = "sk-proj-Ab12Cd34Ef56Gh78Ij90"
    error = answer(400, openai(f"{key} " + "x " * 500_000, param=key, code=key))
    assert key not in json.dumps([error.message, error.param, error.code])
    assert len(error.message) == 500


def test_a_client_cannot_have_our_key_taken_for_a_bad_one() -> None:
    """Words about keys further on in a message may be the client's own, quoted."""
    error = answer(400, openai("Invalid value: 'incorrect api key provided'", param="user"))
    assert type(error) is e.UpstreamRejected


def test_a_body_that_is_cut_or_a_page_gives_a_message_of_ours_or_its_text() -> None:
    """Broken JSON shows nothing; of a page the text is left."""
    assert answer(400, b'{"error": {"mess').message == e.UpstreamRejected.default_message
    page = b"<html><body><h1>400 Bad Request</h1><script>x</script></body></html>"
    assert answer(400, page).message == "400 Bad Request x"


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_is_read_where_one_helps(status: int) -> None:
    """Limits and overload carry Retry-After; without the header they carry None."""
    assert answer(status, b"", **{"retry-after": "7"}).retry_after_s == 7.0
    assert answer(status, b"", **{"retry-after-ms": "1500"}).retry_after_s == 1.5
    assert answer(status, b"").retry_after_s is None


TELLING = {
    "retry-after-ms": "1500",
    "retry-after": "2",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "4s",
}
TELLING_BODY = google("Please try again in 5s.", retry_delay="3s")


@pytest.mark.parametrize(
    ("missing", "body", "wait_s"),
    [
        ([], TELLING_BODY, 1.5),
        (["retry-after-ms"], TELLING_BODY, 2.0),
        (["retry-after-ms", "retry-after"], TELLING_BODY, 3.0),
        (["retry-after-ms", "retry-after"], [TELLING_BODY], 3.0),
        (["retry-after-ms", "retry-after"], google("Please try again in 5s."), 4.0),
        (list(TELLING), google("Please try again in 5s."), 5.0),
        (list(TELLING), google("m", retry_delay="soon"), None),
        (list(TELLING), google("m"), None),
    ],
    ids=[
        "milliseconds",
        "seconds",
        "retry info",
        "retry info in an array",
        "reset",
        "words",
        "nonsense",
        "nothing",
    ],
)
def test_what_tells_a_wait_most_plainly_goes_first(
    missing: list[str], body: object, wait_s: float | None
) -> None:
    """Milliseconds, Retry-After, Google's delay, a used-up limit's reset, then words."""
    headers = {name: value for name, value in TELLING.items() if name not in missing}
    assert answer(429, body, **headers).retry_after_s == wait_s


def test_headers_are_read_as_they_came() -> None:
    """Names may be in any case, and of a name that came twice the first value counts."""
    for first, second in (("Retry-After", "7"), ("X-RateLimit-Reset-Tokens", "7s")):
        headers = CIMultiDict([(first, second), (first, "9")])
        assert read_error_answer(429, headers, b"", 0.0).retry_after_s == 7.0


def test_headers_that_openrouter_puts_into_the_body_are_read() -> None:
    """`metadata.headers` counts like the head, which has the last word."""
    inner = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30500"}
    body = {"error": {"message": "m", "code": 429, "metadata": {"headers": inner}}}
    assert answer(429, body).retry_after_s == 30500.0
    assert answer(429, body, **{"x-ratelimit-reset": "9"}).retry_after_s == 9.0


def test_a_spent_quota_does_not_wait_for_a_limit() -> None:
    """Only Retry-After is about it: resets, Google's delay and words are about limits."""
    resets = {name: value for name, value in TELLING.items() if "limit" in name}
    spent = openai("Please try again in 5s.", code="insufficient_quota")
    for body in (google(SPENT, DAY, retry_delay="36s"), spent):
        error = answer(429, body, **resets)
        assert type(error) is e.UpstreamQuotaExhausted
        assert error.retry_after_s is None
        assert answer(429, body, **{"retry-after": "3600"}).retry_after_s == 3600.0


def test_an_overload_is_no_matter_of_limits() -> None:
    """A 503 takes a delay from Retry-After or the body, never the reset of a limit."""
    resets = {name: value for name, value in TELLING.items() if "limit" in name}
    assert answer(503, b"", **resets).retry_after_s is None
    assert answer(503, google("m", retry_delay="3s"), **resets).retry_after_s == 3.0


def test_an_error_inside_a_200_may_name_a_wait() -> None:
    """A delay of Google's, or one in words, is read from the event itself."""
    assert read_error_object(google("m", retry_delay="34.4s")).retry_after_s == 34.4
    said = {"message": "Please try again in 2s.", "code": "rate_limit_exceeded"}
    assert read_error_object(said).retry_after_s == 2.0
    assert type(read_error_object(google(SPENT, DAY))) is e.UpstreamQuotaExhausted


INSIDE_200: list[tuple[object, type[e.UpstreamError]]] = [
    ({"message": "m", "code": 502}, e.UpstreamServerError),
    (
        {"message": "m", "code": 429, "metadata": {"error_type": "rate_limit_exceeded"}},
        e.UpstreamRateLimited,
    ),
    ({"message": "m", "code": 429}, e.UpstreamRateLimited),
    ({"message": "m", "code": 401}, e.UpstreamAuthError),
    ({"message": "m", "code": "503"}, e.UpstreamOverloaded),
    ({"message": "m", "type": "overloaded_error"}, e.UpstreamOverloaded),
    ({"message": "m", "metadata": {"error_type": "provider_overloaded"}}, e.UpstreamOverloaded),
    ({"message": "m", "metadata": {"error_type": "timeout"}}, e.UpstreamTimeout),
    ({"message": "m", "type": "insufficient_quota"}, e.UpstreamQuotaExhausted),
    ({"message": "m", "code": "rate_limit_exceeded"}, e.UpstreamRateLimited),
    ({"message": "m", "code": "invalid_api_key"}, e.UpstreamAuthError),
    ({"message": "m", "type": "invalid_request_error"}, e.UpstreamRejected),
    ({"message": "m", "type": "BadRequestError", "code": 400}, e.UpstreamRejected),
    ({"message": "m", "code": CONTEXT}, e.UpstreamRejected),
    ({"message": "m", "code": "content_filter"}, e.UpstreamRejected),
    ({"message": "m", "type": "NotFoundError"}, e.UpstreamModelNotFound),
    ({"message": "m", "code": 402}, e.UpstreamQuotaExhausted),
    ({"message": "m", "code": 409}, e.UpstreamError),
    ({"object": "error", "message": "m", "code": 400}, e.UpstreamRejected),
    ({"error": {"message": "m", "code": 400}}, e.UpstreamRejected),
    ({"message": "m", "code": "9" * 5000}, e.UpstreamServerError),
    ({"message": "m"}, e.UpstreamServerError),
    ({"message": "m", "status": "RESOURCE_EXHAUSTED"}, e.UpstreamRateLimited),
    ({"message": "m", "status": "UNAVAILABLE"}, e.UpstreamOverloaded),
    ({"message": "m", "status": "DEADLINE_EXCEEDED"}, e.UpstreamTimeout),
    ({"message": "m", "status": "INVALID_ARGUMENT"}, e.UpstreamRejected),
    ({"message": "m", "status": "NOT_FOUND"}, e.UpstreamModelNotFound),
    ({"message": "m", "status": "UNAUTHENTICATED"}, e.UpstreamAuthError),
    ({"message": "m", "status": "INTERNAL"}, e.UpstreamServerError),
    ("text", e.UpstreamServerError),
    (True, e.UpstreamServerError),
    (None, e.UpstreamServerError),
    ([], e.UpstreamServerError),
]


@pytest.mark.parametrize(("value", "kind"), INSIDE_200, ids=str)
def test_an_error_inside_a_200_is_the_status_it_stands_for(
    value: object, kind: type[e.UpstreamError]
) -> None:
    """A number in `code` is a status, a word is judged as what it says, all else is a 500."""
    assert type(read_error_object(value)) is kind


@pytest.mark.parametrize("raw", [b"", b"null", b"false", b'""', b"{}", b"[]", b"0"])
def test_an_empty_error_member_is_no_error(raw: bytes) -> None:
    """What OpenAI's own client takes for no error is none for us."""
    check_no_error(Raw(raw), "chat.completion", b"{}")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (Raw(b'{"message":"m"}'), None, b"{}"),
        (Raw(b'"text"'), None, b"{}"),
        (Raw(b"[" * 5000 + b"]" * 5000), None, b"{}"),
        (Raw(b'{"message":"\xff"}'), None, b"{}"),
        (NO_VALUE, "error", b'{"object":"error","message":"m"}'),
    ],
    ids=["object", "text", "deep", "no text", "older vllm"],
)
def test_any_error_member_raises_one_of_our_tree(error: Raw, kind: str | None, text: bytes) -> None:
    """Whatever the member looks like, an UpstreamError comes of it and nothing else."""
    with pytest.raises(e.UpstreamError):
        check_no_error(error, kind, text)


@given(st.integers(300, 999), st.binary())
def test_any_answer_becomes_an_error_that_clients_may_see(status: int, body: bytes) -> None:
    """No status and no body raises, and none becomes the client's 401 or 403."""
    error = read_error_answer(status, {}, body, 0.0)
    assert 400 <= error.status <= 599
    assert error.status not in (401, 403)


def test_the_body_has_all_four_keys() -> None:
    """Clients get message, type, param and code, null where there is none."""
    body = json.loads(build_error_body(e.UpstreamRejected(400, "m")))
    assert body == {
        "error": {"message": "m", "type": "invalid_request_error", "param": None, "code": None}
    }


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("too many tokens", "This model's maximum context length is exceeded: too many tokens"),
        (
            "longer than the context length",
            "This model's maximum context length is exceeded: longer than the context length",
        ),
        ("Maximum context length is 9.", "Maximum context length is 9."),
        ("exceeds the available context size", "exceeds the available context size"),
    ],
)
def test_a_prompt_that_is_too_long_is_told_in_words_that_are_looked_for(
    said: str, told: str
) -> None:
    """Frameworks know the case by OpenAI's words; a provider's own are kept behind them."""
    error = e.UpstreamRejected(400, said, code="context_length_exceeded")
    assert json.loads(build_error_body(error))["error"]["message"] == told


def test_the_event_is_the_body_on_one_line() -> None:
    """A stream's error is one event that any client of the format parses."""
    event = build_error_event(e.UpstreamTruncated())
    assert event.startswith(b"data: {") and event.endswith(b"}\n\n")
    assert json.loads(event[6:])["error"]["code"] == "upstream_truncated"
