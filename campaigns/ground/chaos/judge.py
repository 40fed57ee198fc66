"""The oracle of the campaign of chaos: what each request may end with."""

from collections.abc import Mapping

from msgspec import Struct

from campaigns.ground.chaos.calendar import Calendar
from campaigns.ground.chaos.plan import CALM, PROVIDERS, STEADY, End, Plan, build_text, choose_plan
from tests.faults.raw_client import Outcome

STATUSES = frozenset((429, 502, 503, 504))
"""What a client may be refused with where no provider is well."""
SHAPES = ("stream", "buffered", "whole")
COMMIT_DELAY_S = 10.0
"""After so much silence a stream's head goes out; an error can then only be told behind it."""


class Request(Struct, frozen=True):
    """One request: its tag says which; `shape` is one of SHAPES."""

    tag: str
    model: str
    shape: str
    begun_s: float

    @property
    def streams(self) -> bool:
        """The client asks for a stream, which is held back where it is `buffered`."""
        return self.shape != "whole"


def judge(request: Request, outcome: Outcome, ended_s: float, calendar: Calendar) -> str | None:
    """
    Return what is wrong with how a request has ended, None if nothing is.

    A whole answer is word for word that of one provider which could give one. A stream that
    breaks is the beginning of one provider's which was to break, or was taken away meanwhile. Any
    error needs an excuse: that no provider was well all the time which answers for the model.
    """
    plans = {
        name: choose_plan(request.tag, name, request.model, streams=request.streams)
        for name in PROVIDERS
    }
    if outcome.code == "internal_error":
        return "a fault of ours"
    if outcome.kind == "refused":
        return _judge_refusal(request, outcome, plans, ended_s, calendar)
    is_late = ended_s - request.begun_s >= COMMIT_DELAY_S
    if outcome.kind == "broken" and not outcome.text and request.streams and is_late:
        return _judge_error(request, outcome, plans, ended_s, calendar)
    if outcome.kind == "broken":
        return _judge_beginning(request, outcome, plans, ended_s, calendar)
    for name, plan in plans.items():
        if outcome.text == build_text(request.tag, name):
            return _check_provider(outcome, name, plan, "whole")
    return f"no provider's answer: {outcome.text[:200]!r}"


def is_sure(request: Request, ended_s: float, calendar: Calendar) -> bool:
    """Return whether a provider was well, all the time, that answers for the model."""
    steady = PROVIDERS if request.model == CALM else (STEADY[request.model],)
    return any(calendar.is_clear(name, request.begun_s, ended_s) for name in steady)


def _judge_refusal(
    request: Request,
    outcome: Outcome,
    plans: Mapping[str, Plan],
    ended_s: float,
    calendar: Calendar,
) -> str | None:
    if outcome.reply.status not in STATUSES:
        return f"status {outcome.reply.status}, {outcome.code}"
    return _judge_error(request, outcome, plans, ended_s, calendar)


def _judge_error(
    request: Request,
    outcome: Outcome,
    plans: Mapping[str, Plan],
    ended_s: float,
    calendar: Calendar,
) -> str | None:
    if is_sure(request, ended_s, calendar):
        planned = ", ".join(f"{name} {plan.fault}" for name, plan in plans.items())
        tried = outcome.reply.headers.get("x-llm-proxy-attempts")
        return f"{outcome.code} after {tried} attempts, with a provider that was well: {planned}"
    return None


def _judge_beginning(
    request: Request,
    outcome: Outcome,
    plans: Mapping[str, Plan],
    ended_s: float,
    calendar: Calendar,
) -> str | None:
    name = outcome.reply.headers.get("x-llm-proxy-provider", "")
    if request.shape != "stream" or name not in plans:
        return f"a beginning of an answer of {name!r}, which was to be held back"
    if not build_text(request.tag, name).startswith(outcome.text):
        return f"no beginning of an answer of {name}: {outcome.text[:200]!r}"
    if calendar.is_troubled(name, request.begun_s, ended_s):
        return None
    return _check_provider(outcome, name, plans[name], "broken")


def _check_provider(outcome: Outcome, name: str, plan: Plan, end: End) -> str | None:
    named = outcome.reply.headers.get("x-llm-proxy-provider")
    if named != name:
        return f"an answer of {name}, named as that of {named!r}"
    if end not in plan.ends:
        return f"{end} ({outcome.code}) from {name}, whose plan is {plan.fault}"
    return None
