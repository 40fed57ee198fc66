"""What one request brings upon itself is no reason to leave its provider alone for all others."""

from typing import Any

import pytest

from proxy.domain.breaker import BreakerRules
from proxy.domain.settings import Clocks
from tests.faults.fault_upstream import (
    CONTENT,
    Deed,
    build_good,
    build_json,
    build_reply,
    build_secret_error,
    build_stream,
    cut,
    tell,
)
from tests.faults.several import judging_several

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
OFTEN = BreakerRules().consecutive + 1
CAP_BYTES = 65_536
BUFFERED = {"x-llm-proxy-buffer": "true"}


def _refuse(status: int, message: str, **fields: Any) -> Deed:
    body = build_json(build_secret_error(message, **fields), "length", status, "Retry-After: 60")
    return tell(body)


REFUSALS: dict[str, tuple[Deed, int, str]] = {
    "tools": (_refuse(404, "No endpoints found that support tools"), 502, "upstream_not_found"),
    "cost": (
        _refuse(402, "Use fewer max_tokens: you can only afford 4000."),
        429,
        "request_too_costly",
    ),
    "size": (
        _refuse(429, "Request too large for m on TPM: Limit 30000, Requested 45000."),
        429,
        "request_exceeds_limit",
    ),
    "state": (_refuse(409, "Conflict"), 502, "upstream_refused"),
    "head": (_refuse(431, "Request header fields too large"), 502, "upstream_refused"),
}
"""What a provider says of one request, and what its client is told if nobody does better."""


@both
@pytest.mark.parametrize("case", REFUSALS)
async def test_u22_u26_u27_what_is_about_one_request_holds_nobody(case: str, stream: bool) -> None:
    """U22, U26, U27: however often it comes, the next goes on, and other requests come here."""
    deed, _, code = REFUSALS[case]
    good = tell(build_good(stream))
    async with judging_several([*[deed] * OFTEN, good], [good], clocks=Clocks()) as served:
        for _ in range(OFTEN):
            outcome = await served.judge.ask(stream=stream)
            assert served.list_attempts(outcome) == [("a", code), ("b", "ok")]
            assert outcome.verdict == ("answer", 200, None)
        for breaker_id in ("a/m", "key:a"):
            report = await served.read_breaker(breaker_id)
            assert (report.state, report.failure_count) == ("closed", 0)
        assert served.list_attempts(await served.judge.ask(stream=stream)) == [("a", "ok")]


@both
@pytest.mark.parametrize("case", REFUSALS)
async def test_u22_u26_u27_what_is_about_one_request_is_not_repeated(
    case: str, stream: bool
) -> None:
    """U22, U26, U27: nobody else is there: it is told at once, and no time to come back."""
    deed, status, code = REFUSALS[case]
    async with judging_several([deed], fields={"max_retries": 3}, clocks=Clocks()) as served:
        outcome = await served.judge.ask(stream=stream)
        assert served.count_requests() == [1]
    assert outcome.verdict == ("refused", status, code)
    assert "retry-after" not in outcome.reply.headers
    assert outcome.reply.headers["x-should-retry"] == "false"


@both
async def test_u15_an_answer_that_is_held_and_too_long_opens_nothing(stream: bool) -> None:
    """U15: who asks for long answers, and has them held, leaves the provider to all others."""
    whole = build_reply(b"[" * 2 * CAP_BYTES, "application/json", "close")
    large = cut(build_stream([CONTENT] * (CAP_BYTES // 32), "close") if stream else whole)
    good = tell(build_good(stream))
    caps: dict[str, Any] = {"max_answer_bytes": CAP_BYTES}
    async with judging_several([*[large] * OFTEN, good], clocks=Clocks(), **caps) as served:
        for _ in range(OFTEN):
            outcome = await served.judge.ask(stream=stream, headers=BUFFERED)
            assert outcome.verdict == ("refused", 502, "answer_too_large")
        assert (await served.read_breaker("a/m")).state == "closed"
        assert (await served.judge.ask(stream=stream)).verdict == ("answer", 200, None)
