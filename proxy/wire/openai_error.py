"""
Errors in OpenAI's shape: ours for clients, and what a provider's means for us.

What the body of a provider's error says is found by `provider_fault.py`; here it is judged.
"""

import re
from collections.abc import Mapping

import msgspec

from proxy.domain.errors import (
    ProxyError,
    UpstreamAuthError,
    UpstreamError,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRedirect,
    UpstreamRejected,
    UpstreamTimeout,
)
from proxy.wire.error_text import clean_text
from proxy.wire.json_text import encode, holds_too_many_values
from proxy.wire.provider_fault import UpstreamFault, parse_fault, read_fault
from proxy.wire.request_fault import MODEL_WORDS, NO_WAIT_HELPS, find_own_fault, judge_rest
from proxy.wire.retry_after import (
    find_said_wait,
    parse_duration,
    parse_limit_resets,
    parse_retry_after,
)
from proxy.wire.sse import build_event

_TOO_LONG = "This model's maximum context length is exceeded"
_KNOWN = re.compile("maximum context length|available context size", re.IGNORECASE)
NO_VALUE = msgspec.Raw(b"")
"""Default of a raw field that did not come."""
_FALSY = (b"", b"null", b"false", b'""', b"{}", b"[]", b"0")

_REJECTING = frozenset((400, 413, 415, 422, 451))
"""Statuses that speak of the client's request, in words that are its to read."""
_MAY_TELL_CONTENT = frozenset((400, 403, 413, 422, 500))

_QUOTA_WORDS = frozenset(
    (
        *("insufficient_quota", "credit_balance_exhausted", "payment_required", "billing_error"),
        *("contract_spend_limit_reached", "enforced_spend_limit_reached"),
        *(
            "linked_organization_spend_limit_reached",
            "linked_organization_billing_unavailable",
        ),
    )
)
_RATE_WORDS = frozenset(
    (
        *("rate_limit_error", "rate_limit_exceeded", "slow_down", "RESOURCE_EXHAUSTED"),
        "ramp_limit_exceeded",
    )
)
_AUTH_WORDS = frozenset(
    (
        *("invalid_api_key", "authentication_error", "authentication", "permission_error"),
        *("API_KEY_INVALID", "UNAUTHENTICATED", "PERMISSION_DENIED"),
        # Anthropic's, of what is wrong with our account and with no request.
        *("organization_on_hold", "organization_type_not_supported", "cmek_key_disabled"),
        *("cmek_key_network_blocked", "claude_code_key_creator_not_member"),
    )
)
_OVERLOAD_WORDS = frozenset(
    (
        "overloaded_error",
        "server_is_overloaded",
        "capacity_exceeded",
        "provider_overloaded",
        "unavailable_error",
        "UNAVAILABLE",
        *("cmek_context_unavailable", "cmek_key_unreachable"),
    )
)
_TIMEOUT_WORDS = frozenset(("timeout", "timeout_error", "DEADLINE_EXCEEDED"))
_NOT_FOUND_WORDS = frozenset(("NotFoundError", "not_found_error", "NOT_FOUND"))
_REQUEST_WORDS = frozenset(
    (
        *("invalid_request_error", "invalid_request", "BadRequestError", "not_supported_error"),
        *("INVALID_ARGUMENT", "FAILED_PRECONDITION"),
    )
)
_CONTEXT_WORDS = frozenset(
    (
        "context_length_exceeded",
        "exceed_context_size_error",
        "token_limit_exceeded",
        "max_tokens_exceeded",
    )
)
_FILTER_WORDS = frozenset(("content_policy_violation", "content_filter", "refusal"))
_INNER_FILTER_WORD = "ResponsibleAIPolicyViolation"
"""Azure's, inside of an error whose own code may be another."""
KNOWN_REJECTIONS = frozenset(("context_length_exceeded", *_FILTER_WORDS))
"""Codes of a client's mistake that are the same words at every provider."""
_CONTEXT_MARKS = (
    "maximum context length",
    "context_length_exceeded",
    "input tokens exceed the configured limit",
    "exceeds the available context size",
    "exceeds the context length",
    "is longer than the model's context length",
    "maximum prompt length",
    "too large for model",
    "prompt is too long",
    "prompt: length",
    "exceed context limit",
    "exceeds the maximum number of tokens allowed",
    "request payload size exceeds",
    "input is too large to process",
    "reduce the length of the messages",
    "`inputs` tokens + `max_new_tokens` must be",
    "too many tokens",
)
_FILTER_MARKS = (
    "content filtering policy",
    "your request was rejected as a result of our safety system",
    "the response was filtered due to the prompt triggering",
)
_QUOTA_MARKS = (
    "exceeded your current quota",
    "insufficient balance",
    "credit balance",
    "any credits",
    "api calls / month",
)
# Only as the first words: what a client wrote may be quoted further on, and a client must not
# be able to have our key taken for a bad one.
_KEY_MARKS = (
    *("incorrect api key", "invalid api key", "api key not valid"),
    # Google's, of where our account may be used from.
    *("user location is not supported", "gemini api free tier is not available"),
    # Anthropic's, of an account that has been closed.
    "this organization has been disabled",
)
_TOKEN_MARKS = ("invalid token", "blocked token", "invalid api token")
"""Cohere's, of a key; with the same status Groq says that it has no room."""
_SPENT_MARKS = ("your credit balance is too low", "you have reached your specified")
"""Anthropic's, with status 400: no money, or an own limit is reached. First words, too."""


def build_error_body(error: ProxyError) -> bytes:
    """Return the JSON body for an error: `{"error": {message, type, param, code}}`."""
    return encode({"error": describe_error(error)})


def describe_error(error: ProxyError) -> dict[str, str | None]:
    """Return the members of an error, in OpenAI's order."""
    return {
        "message": _read_message(error),
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }


def build_error_event(error: ProxyError) -> bytes:
    """Return the last event of a stream that failed; no `[DONE]` may follow it."""
    return build_event(build_error_body(error))


def _read_message(error: ProxyError) -> str:
    """Return an error's words; frameworks look for OpenAI's own where the prompt is too long."""
    message = error.message
    if error.code != "context_length_exceeded" or _KNOWN.search(message):
        return message
    return f"{_TOO_LONG}: {message}"


def read_error_answer(
    status: int, headers: Mapping[str, str], body: bytes, now_at: float
) -> UpstreamError:
    """
    Return what a provider's answer with an error status means for us and for the client.

    Args:
        status: any but 2xx.
        headers: what they say of limits and of when to come back is read.
        body: as much of the body as was read, in any format.
        now_at: epoch seconds.

    Returns:
        An error of the one tree. Only where the client can mend its request does it carry
        the provider's own words, cleaned. A limit or an overload has `retry_after_s` where
        head or body tell it; a quota that is spent only where `retry-after` does.

    Source: wire-formats §7; tests/wire/test_openai_error.py has a case per class.
    """
    fault = parse_fault(body)
    error = classify_fault(status, fault)
    # As they came, names are in any case; of one that came twice the first counts.
    told = {name.lower(): value for name, value in reversed(list(headers.items()))}
    error.retry_after_s = _find_wait(error, fault, {**fault.headers, **told}, now_at)
    return error


def read_error_object(value: object) -> UpstreamError:
    """
    Return what an error object inside a 200 means, as the status that it stands for.

    Args:
        value: the decoded `error` member, or the whole object that carried it.
    """
    fault = read_fault(value)
    error = classify_fault(fault.status or _guess_status(fault), fault)
    # The head that it came with was that of a success: it says nothing of the error.
    error.retry_after_s = _find_wait(error, fault, {}, 0.0)
    return error


def read_error_text(text: bytes) -> UpstreamError:
    """Return what an event that is called an error means; one that cannot be read says nothing."""
    return read_error_object(_decode(text))


def without_words(error: ProxyError) -> ProxyError:
    """
    Return an error for the end of a stream that has begun: in our words, not the provider's.

    Nobody can send such a request again in better form, so its words would help nobody.
    """
    if isinstance(error, UpstreamRejected):
        code = error.code if error.code in KNOWN_REJECTIONS else None
        return UpstreamRejected(error.status, code=code)
    return error


def check_no_error(error: msgspec.Raw, kind: str | None, text: bytes) -> None:
    """
    Raise what an answer with status 200 says went wrong, if it says so.

    Args:
        error: the raw `error` member, NO_VALUE where there is none.
        kind: the `object` member; older vLLM says "error" here and has the fault beside it.
        text: the whole object.

    Raises:
        UpstreamError: classified as the status it stands for.
    """
    if bytes(error) not in _FALSY:
        raise read_error_object(_decode_bounded(error))
    if kind == "error":
        raise read_error_object(_decode_bounded(text))


def classify_fault(status: int, fault: UpstreamFault) -> UpstreamError:
    """
    Return the error of our tree for a status and what its body said.

    Args:
        status: any but 2xx; the one that the fault stands for, if it came inside a 200.
        fault: empty where the body said nothing.
    """
    words = {fault.code, fault.type, fault.reason}
    if 300 <= status < 400:
        return UpstreamRedirect()
    if status in _MAY_TELL_CONTENT and (rejected := _reject_content(fault, words)):
        return rejected
    is_quota = bool(words & _QUOTA_WORDS) or status == 402
    is_quota = is_quota or (status in (403, 429) and _is_quota(fault))
    is_quota = is_quota or (status == 400 and _begins_with(fault, _SPENT_MARKS))
    is_rate = status == 429 or bool(words & _RATE_WORDS)
    if own := find_own_fault(status, fault, is_quota=is_quota, is_rate=is_rate):
        return own
    if is_quota:
        return UpstreamQuotaExhausted()
    if status in (401, 403, 407) or words & _AUTH_WORDS or _is_refused_key(status, fault):
        return UpstreamAuthError()
    if is_rate:
        return UpstreamRateLimited()
    if status in (498, 503, 529) or words & _OVERLOAD_WORDS:
        return UpstreamOverloaded()
    if status in (408, 504, 524) or words & _TIMEOUT_WORDS:
        return UpstreamTimeout()
    if words & MODEL_WORDS:
        return UpstreamModelNotFound()
    is_rejected = status in _REJECTING or "not_supported_error" in words
    return _reject(status, fault, fault.code) if is_rejected else judge_rest(status, fault)


def _find_wait(
    error: UpstreamError, fault: UpstreamFault, headers: Mapping[str, str], now_at: float
) -> float | None:
    """Return when a provider wants to be asked again: what says it most plainly goes first."""
    if not isinstance(error, UpstreamRateLimited | UpstreamOverloaded):
        return None
    if error.code in NO_WAIT_HELPS:
        return None
    wait_s = parse_retry_after(headers, now_at)
    if isinstance(error, UpstreamQuotaExhausted):
        return wait_s  # the seconds of a limit are no matter of a quota
    if wait_s is None:
        wait_s = parse_duration(fault.retry_delay)
    if wait_s is None and isinstance(error, UpstreamRateLimited):
        wait_s = parse_limit_resets(headers, now_at)
    return find_said_wait(fault.message) if wait_s is None else wait_s


def _guess_status(fault: UpstreamFault) -> int:
    """Return the status that an error inside a 200 stands for and does not name."""
    words = {fault.code, fault.type, fault.reason}
    if words & _NOT_FOUND_WORDS:
        return 404
    is_the_clients = words & (_REQUEST_WORDS | _CONTEXT_WORDS | _FILTER_WORDS)
    return 400 if is_the_clients else 500


def _reject_content(fault: UpstreamFault, words: set[str]) -> UpstreamRejected | None:
    """Return the error for what no other status says as well: too long, or not allowed."""
    lowered = fault.message.lower()
    # Groq's "request too large" is about a minute's tokens, OpenAI's about one field.
    says_more = words & (_RATE_WORDS | {"string_above_max_length"})
    if words & _CONTEXT_WORDS or (
        not says_more and any(mark in lowered for mark in _CONTEXT_MARKS)
    ):
        return _reject(400, fault, "context_length_exceeded")
    if found := words & _FILTER_WORDS:
        is_named = fault.code in found and fault.code != "refusal"
        return _reject(400, fault, fault.code if is_named else "content_policy_violation")
    if (
        fault.is_moderated
        or fault.reason == _INNER_FILTER_WORD
        or any(mark in lowered for mark in _FILTER_MARKS)
    ):
        return _reject(400, fault, "content_policy_violation")
    return None


def _reject(status: int, fault: UpstreamFault, code: str) -> UpstreamRejected:
    return UpstreamRejected(
        status if status in _REJECTING else 400,
        clean_text(fault.message) or None,
        param=clean_text(fault.param) or None,
        code=clean_text(code) or None,
    )


def _is_quota(fault: UpstreamFault) -> bool:
    if fault.quota_ids:
        # Google has the same words for every limit, a minute's too; its names tell them apart.
        # A day's comes with a delay of seconds all the same, after which it is still used up.
        return any("PerDay" in quota_id for quota_id in fault.quota_ids)
    lowered = fault.message.lower()
    if not any(mark in lowered for mark in _QUOTA_MARKS):
        return False
    # What money buys does not come back by itself: whoever says when speaks of a limit.
    return not fault.retry_delay and find_said_wait(fault.message) is None


def _is_refused_key(status: int, fault: UpstreamFault) -> bool:
    # xAI answers a wrong key with 400 and says so only in words, Cohere with 498.
    return (status == 400 and _begins_with(fault, _KEY_MARKS)) or (
        status == 498 and _begins_with(fault, _TOKEN_MARKS)
    )


def _begins_with(fault: UpstreamFault, marks: tuple[str, ...]) -> bool:
    return fault.message.lower().lstrip().startswith(marks)


def _decode_bounded(raw: msgspec.Raw | bytes) -> object:
    return None if holds_too_many_values(bytes(raw)) else _decode(raw)


def _decode(raw: msgspec.Raw | bytes) -> object:
    try:
        value: object = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None
    return value
