"""Tests of `proxy/wire/request_fault.py`: what is about one request, in providers' words."""

import json
from typing import Any

import pytest

from proxy.domain.errors import UpstreamModelNotFound
from proxy.wire.openai_error import read_error_answer
from proxy.wire.provider_fault import UpstreamFault
from proxy.wire.request_fault import find_own_fault, judge_rest

MODEL = "upstream_model_not_found"
ABSENT = "upstream_not_found"
REFUSED = "upstream_refused"
KEY = "upstream_auth"
COSTLY = "request_too_costly"
SPENT = "insufficient_quota"
LARGE = "request_exceeds_limit"
RATE = "rate_limit_exceeded"

ROUTING = "To learn more about provider routing, visit: https://openrouter.ai/docs/provider-routing"
SETTINGS = "To increase, visit https://openrouter.ai/settings/credits and upgrade to a paid account"
GROQ = "in organization `org_x` service tier `on_demand` on tokens per minute (TPM)"


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message} | more}


def rated(message: str) -> dict[str, Any]:
    return said(message, type="tokens", param=None, code=RATE)


def read(status: int, body: object) -> str | None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_error_answer(status, {}, raw, 0.0).code


NOT_FOUND: list[tuple[str, int, object, str]] = [
    (
        "openai",
        404,
        said(
            "The model `gpt-x` does not exist or you do not have access to it.",
            type="invalid_request_error",
            param=None,
            code="model_not_found",
        ),
        MODEL,
    ),
    ("openai retired", 404, said("The model `gpt-x` has been deprecated, learn more"), MODEL),
    (
        "openai 403",
        403,
        said(
            "Project `proj_x` does not have access to model `gpt-x`",
            type="invalid_request_error",
            param=None,
            code="model_not_found",
        ),
        MODEL,
    ),
    (
        "openai 403, words",
        403,
        said("The project you are using does not have access to model `gpt-x`."),
        MODEL,
    ),
    ("openai 403, you", 403, said("You do not have access to the model `gpt-x`"), MODEL),
    (
        "openai unverified",
        403,
        said("Your organization must be verified to use the model `gpt-x`. Please go to: x"),
        MODEL,
    ),
    (
        "gemini's file of another",
        403,
        said(
            "You do not have permission to access the File abc or it may not exist.",
            code=403,
            status="PERMISSION_DENIED",
        ),
        REFUSED,
    ),
    (
        "gemini's cache of another",
        403,
        said(
            "CachedContent not found (or permission denied)", code=403, status="PERMISSION_DENIED"
        ),
        REFUSED,
    ),
    (
        "gemini's key without permission",
        403,
        said("The caller does not have permission", code=403, status="PERMISSION_DENIED"),
        KEY,
    ),
    (
        "openai unverified to stream",
        403,
        said("This organization must be verified to stream this model"),
        REFUSED,
    ),
    ("openai region", 403, said("Country, region, or territory not supported"), KEY),
    (
        "openai file",
        404,
        said(
            "No file found with id 'file-abc' in organization",
            type="invalid_request_error",
            param="file_id",
            code=None,
        ),
        ABSENT,
    ),
    (
        "openai file whose name is a trap",
        404,
        said("No file found with id 'the model x does not exist'"),
        ABSENT,
    ),
    (
        "openai route",
        404,
        said("This is not a chat model and thus not supported here.", param="model"),
        ABSENT,
    ),
    ("openrouter tools", 404, said(f"No endpoints found that support tool use. {ROUTING}"), ABSENT),
    (
        "openrouter providers",
        404,
        said("No allowed providers are available for the selected model.", code=404),
        ABSENT,
    ),
    (
        "openrouter policy",
        404,
        said("No endpoints found matching your data policy. Enable prompt training here"),
        ABSENT,
    ),
    ("openrouter model", 404, said("No endpoints found for nous/hermes-3:free."), MODEL),
    (
        "azure",
        404,
        said("The API deployment for this resource does not exist.", code="DeploymentNotFound"),
        MODEL,
    ),
    ("azure path", 404, said("Resource not found", code="404"), ABSENT),
    (
        "anthropic-like",
        404,
        {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-x"}},
        MODEL,
    ),
    (
        "anthropic-like file",
        404,
        {"type": "error", "error": {"type": "not_found_error", "message": "File not found: f"}},
        ABSENT,
    ),
    (
        "anthropic-like permission",
        403,
        {"type": "error", "error": {"type": "permission_error", "message": "Not for your key."}},
        KEY,
    ),
    (
        "gemini",
        404,
        [said("models/gemini-x is not found for API version v1beta", code=404, status="NOT_FOUND")],
        MODEL,
    ),
    ("xai", 404, {"code": "Not found", "error": "The model grok-x does not exist or your"}, MODEL),
    ("deepseek", 404, said("Model Not Exist"), MODEL),
    ("fireworks", 404, said("Model not found, inaccessible, and/or not deployed"), MODEL),
    ("together", 404, said("Unable to access model x.", code="model_not_available"), MODEL),
    (
        "vllm",
        404,
        {
            "object": "error",
            "message": "The model `m` does not exist.",
            "type": "NotFoundError",
            "param": "model",
            "code": 404,
        },
        MODEL,
    ),
    ("vllm route", 404, {"detail": "Not Found"}, ABSENT),
    ("ollama", 404, said('model "llama3" not found, try pulling it first'), MODEL),
    ("ollama, flat", 404, {"error": "model 'llama3' not found"}, MODEL),
    ("gone", 410, said("The model `m` has been decommissioned and is no longer there."), MODEL),
    ("gone, other", 410, said("Assistants are gone."), ABSENT),
    ("nothing", 404, b"", MODEL),
    ("empty", 404, {}, MODEL),
    ("cut", 404, b'{"error": {"mess', MODEL),
    ("page", 404, b"<html><h1>404 Not Found</h1></html>", MODEL),
    ("text", 404, b"404 page not found", MODEL),
]
LIMITS: list[tuple[str, int, object, str | None]] = [
    (
        "openrouter",
        402,
        said(
            "This request requires more credits, or fewer max_tokens. You requested up to 65536 "
            f"tokens, but can only afford 3333. {SETTINGS}",
            code=402,
            metadata={"provider_name": None},
        ),
        COSTLY,
    ),
    (
        "openrouter, all spent",
        402,
        said(
            "This request requires more credits, or fewer max_tokens. You requested up to 32000 "
            f"tokens, but can only afford 0. {SETTINGS}",
            code=402,
        ),
        SPENT,
    ),
    (
        "openrouter in debt",
        402,
        said("You requested up to 32000 tokens, but can only afford -1,200."),
        SPENT,
    ),
    (
        "openrouter prompt",
        402,
        said(f"Prompt tokens limit exceeded: 230799 > 91442. {SETTINGS}", code=402),
        COSTLY,
    ),
    ("openrouter empty", 402, said("Insufficient credits. Add more using x", code=402), SPENT),
    ("at 403", 403, said("You can only afford 1,200 tokens."), COSTLY),
    ("at 429", 429, said("Use fewer max_tokens: your credits do not suffice."), COSTLY),
    ("names the field", 402, said("Lower max_tokens or add money."), COSTLY),
    (
        "openai quota",
        429,
        said("You exceeded your current quota, please check your plan.", code=SPENT),
        SPENT,
    ),
    ("a limit that names the field", 429, said("Limit on max_tokens of a day."), RATE),
    (
        "openai",
        429,
        rated(
            "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit "
            "30000, Requested 45000. The input or output tokens must be reduced in order to run."
        ),
        LARGE,
    ),
    (
        "openai, for now",
        429,
        rated(
            "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit "
            "30000, Used 29937, Requested 385. Please try again in 644ms."
        ),
        RATE,
    ),
    (
        "openai, none granted",
        429,
        rated("Request too large for m on tokens per min (TPM): Limit 0, Requested 45."),
        RATE,
    ),
    (
        "litellm of openai",
        429,
        said(
            "litellm.RateLimitError: OpenAIException - Request too large for gpt-5 on tokens per "
            "min (TPM): Limit 30,000, Requested 36,055."
        ),
        LARGE,
    ),
    (
        "groq",
        413,
        rated(f"Request too large for model `m` {GROQ}: Limit 6000, Requested 9000, please"),
        LARGE,
    ),
    ("groq without numbers", 413, rated("Request too large for model `m`"), LARGE),
    (
        "azure",
        429,
        said("Requests to the operation have exceeded token rate limit.", code="429"),
        RATE,
    ),
    (
        "anthropic-like rate",
        429,
        {
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": "This request would exceed the rate limit of 20,000 input tokens",
            },
        },
        RATE,
    ),
    (
        "anthropic-like bytes",
        413,
        {
            "type": "error",
            "error": {"type": "request_too_large", "message": "Request too large"},
        },
        None,
    ),
]


@pytest.mark.parametrize("case", NOT_FOUND, ids=lambda case: case[0])
def test_an_unknown_model_is_told_from_what_the_client_named(
    case: tuple[str, int, object, str],
) -> None:
    """Only words about the model, or no API at all, have the deployment held for everybody."""
    _, status, body, code = case
    assert read(status, body) == code


@pytest.mark.parametrize("case", LIMITS, ids=lambda case: case[0])
def test_a_request_that_never_fits_is_told_from_a_limit(
    case: tuple[str, int, object, str | None],
) -> None:
    """Money and tokens that only this request lacks are no matter of the next one."""
    _, status, body, code = case
    assert read(status, body) == code


@pytest.mark.parametrize(
    "status",
    [405, 406, 409, 411, 412, 414, 416, 417, 418, 421, 423, 424, 425, 426, 428, 431, 494, 499],
)
@pytest.mark.parametrize("body", [b"", {}, said("m"), {"detail": "x"}], ids=str)
def test_any_other_4xx_is_a_refusal_of_this_request(status: int, body: object) -> None:
    """What no rule knows of the statuses for requests is held against nobody."""
    assert read(status, body) == REFUSED


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, KEY),
        (407, KEY),
        (408, "upstream_timeout"),
        (498, "upstream_overloaded"),
        (500, "upstream_server_error"),
        (503, "upstream_overloaded"),
        (600, "upstream_server_error"),
    ],
)
def test_what_says_something_of_the_provider_stays_so(status: int, code: str) -> None:
    """Keys, clocks, overload and the 5xx are no matter of one request."""
    assert read(status, said("m")) == code


def test_a_message_of_any_length_is_judged_by_its_beginning() -> None:
    """A quarter of a megabyte that almost is about a model costs no time and means nothing."""
    for start in ("the " * 65_000, "model " * 40_000, "the project " * 20_000, "limit 1 " * 30_000):
        fault = UpstreamFault(message=start)
        assert find_own_fault(404, fault, is_quota=False, is_rate=True) is None
        assert judge_rest(404, fault).code == ABSENT


def test_a_model_word_anywhere_in_the_body_is_enough() -> None:
    """`code`, `type` and OpenRouter's `error_type` are all looked at."""
    word = "model_not_found"
    for fault in (UpstreamFault(code=word), UpstreamFault(type=word), UpstreamFault(reason=word)):
        error = find_own_fault(403, fault, is_quota=False, is_rate=False)
        assert type(error) is UpstreamModelNotFound and error.code == MODEL
