"""
Refusals that are about one request, told from those that would strike every other as well.

No client may have a provider left alone for everybody. Only what none of them can bring about
speaks of the provider: where the words leave it open, the request is taken for the cause.
"""

import re

from proxy.domain.errors import (
    UpstreamError,
    UpstreamModelNotFound,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamServerError,
)
from proxy.wire.provider_fault import UpstreamFault

MODEL_WORDS = frozenset(
    ("model_not_found", "model_not_available", "unknown_model", "DeploymentNotFound")
)
_MOST_READ = 500
"""So much of a message is looked at."""

# From the first words on, and with nothing but a name between them: what a client wrote may be
# quoted further on.
_NO_MODEL = re.compile(
    r"(?:(?:the|this|requested|specified) )*models?\b[ :/]*[\"'`]?[^\s\"'`]{0,128}[\"'`]? "
    r"(?:(?:is|was|does|do|could) )?(?:not (?:be )?(?:exist|found)|has been (?:deprecated|retired"
    r"|decommissioned|removed))\b"
    # Anthropic's, and OpenRouter's where it names nothing but the model.
    r"|model: \S+$"
    r"|no endpoints found for \S+$"
)
_NO_ACCESS = re.compile(
    r"(?:(?:you|your|the|this|project|organi[sz]ation|team|account|api key|key)\b ?)+"
    r"[^\n]{0,80}?\b(?:not have access to|must be verified to use) (?:(?:the|this) )?model\b"
)
_UNVERIFIED = re.compile(r"(?:your|this|the) organi[sz]ation must be verified to ")
# Google's, of a file or a cache that a client has named.
_NO_FILE = re.compile(
    r"you do not have permission to access the (?:file|cachedcontent|cached content)\b"
    r"|(?:the )?cached ?content\b[^\n]{0,200}?\bnot found\b"
)
_AFFORDED = re.compile(r"can only afford (-?[0-9][0-9,]{0,15})")
_COST_MARKS = ("fewer max_tokens", "prompt tokens limit exceeded", "can only afford")
_ASKED = re.compile(
    r"\blimit:? ([0-9][0-9,]{0,15})\b[^\n]{0,80}?\brequested:? ([0-9][0-9,]{0,15})\b"
)

_TOO_COSTLY = "request_too_costly"
_ABOVE_LIMIT = "request_exceeds_limit"
NO_WAIT_HELPS = frozenset((_TOO_COSTLY, _ABOVE_LIMIT))
"""Codes of limits that do not let this request through later either."""


def find_own_fault(
    status: int, fault: UpstreamFault, *, is_quota: bool, is_rate: bool
) -> UpstreamError | None:
    """
    Return the error for a refusal of this one request, or of this one model; None: it is neither.

    Args:
        status: any but 2xx and 3xx.
        fault: what the body says.
        is_quota: it is known to be about money.
        is_rate: it is known to be about a rate.

    Source: wire-formats §7.2; tests/wire/test_request_fault.py has a body of each provider.
    """
    if (is_quota or status in (403, 429)) and _is_too_costly(fault, is_quota):
        return UpstreamQuotaExhausted(
            "Too Many Requests: the provider's quota does not suffice for this request; "
            "ask for fewer tokens.",
            code=_TOO_COSTLY,
        )
    if is_quota:
        return None
    if is_rate and _is_above_limit(fault):
        return UpstreamRateLimited(
            "Too Many Requests: this request alone is above the provider's rate limit; "
            "send or ask for fewer tokens.",
            code=_ABOVE_LIMIT,
        )
    if status in (403, 404, 410) and _lacks_model(fault):
        return UpstreamModelNotFound()
    if status == 403 and _is_about_use(_read_said(fault)):
        return _refuse()
    return None


def judge_rest(status: int, fault: UpstreamFault) -> UpstreamError:
    """
    Return the error for an answer whose status and words have said nothing that is known.

    Args:
        status: as for `find_own_fault`.
        fault: what the body says.
    """
    if status in (404, 410):
        # Where no API has spoken there is none: the address is wrong, whatever is asked for.
        if fault.is_page or not (fault.message or fault.code or fault.type or fault.reason):
            return UpstreamModelNotFound()
        return UpstreamModelNotFound(
            "The provider does not have what this request needs.", code="upstream_not_found"
        )
    return _refuse() if 400 <= status < 500 else UpstreamServerError()


def _refuse() -> UpstreamError:
    return UpstreamError("The provider refused this request.", code="upstream_refused")


def _lacks_model(fault: UpstreamFault) -> bool:
    if {fault.code, fault.type, fault.reason} & MODEL_WORDS:
        return True
    said = _read_said(fault)
    return bool(_NO_MODEL.match(said) or _NO_ACCESS.match(said))


def _is_about_use(said: str) -> bool:
    """Return whether the account may use the model, and only not as this request does."""
    return bool(_UNVERIFIED.match(said) or _NO_FILE.match(said))


def _is_too_costly(fault: UpstreamFault, is_quota: bool) -> bool:
    """Return whether there is money, and only not for as many tokens as were asked for."""
    said = _read_said(fault)
    if afforded := _AFFORDED.search(said):
        return _read_count(afforded[1]) > 0
    return any(mark in said for mark in _COST_MARKS) or (is_quota and "max_tokens" in said)


def _is_above_limit(fault: UpstreamFault) -> bool:
    """Return whether a request has more tokens than a whole minute's limit: it never fits."""
    said = _read_said(fault)
    if asked := _ASKED.search(said):
        # No request fits into a limit of 0: that is no matter of this one.
        return 0 < _read_count(asked[1]) < _read_count(asked[2])
    return "request too large" in said


def _read_said(fault: UpstreamFault) -> str:
    return fault.message[:_MOST_READ].strip().rstrip(".").lower()


def _read_count(text: str) -> int:
    return int(text.replace(",", ""))
