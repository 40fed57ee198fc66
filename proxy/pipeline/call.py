"""
Stage: ask providers, and come back with an answer that may be shown to the client.

For a stream that is the commit point: the first event with content has been read. Until
then nothing of any attempt has reached the client, whatever went wrong, so another deployment
can still answer; after it nobody else can.
"""

import asyncio
from random import random

from msgspec import Struct

from proxy.domain.catalog import Deployment
from proxy.domain.errors import DeadlineExceeded, ProxyError, UpstreamRateLimited, UpstreamRejected
from proxy.pipeline.admit import admit
from proxy.pipeline.attempt import Answer, attempt
from proxy.pipeline.board import Ticket
from proxy.pipeline.context import Exchange, name_error
from proxy.pipeline.route import Leg, Route
from proxy.pipeline.signs_of_life import SignsOfLife
from proxy.policy.admission import Admission, build_error, find_least_bad
from proxy.policy.retry import (
    CONTEXT_OVERFLOW,
    choose_wait_s,
    count_repeats,
    has_time,
    may_repeat,
    may_try_another,
    may_try_fallback,
    pick_error,
)
from proxy.upstream.deadline import Deadline
from proxy.wire.base import Ask


async def call(exchange: Exchange, ask: Ask, chosen: Route) -> Answer:
    """
    Ask the candidates, best first, until one has an answer, and return that.

    Raises:
        ProxyError: none had one, or `request_timeout` ran out; the most useful error that there
            was. Nothing has been sent but signs of life.
    """
    signs_of_life = SignsOfLife(exchange) if ask.streams else None
    try:
        with Deadline(exchange.snapshot.settings.request_timeout_s):
            return await _Search(exchange, ask, chosen).find()
    except TimeoutError:
        error = DeadlineExceeded()
        exchange.fail_attempt(error)
        raise error from None
    finally:
        if signs_of_life is not None:
            signs_of_life.stop()


class _Tried(Struct):
    """A deployment that has failed this request, and how."""

    deployment: Deployment
    leg: int
    error: ProxyError
    most_repeats: int
    """By how it did before this request, whose own failures are no reason to end it sooner."""
    repeats: int = 0
    is_given_up: bool = False


class _Refused(Struct, frozen=True):
    """A deployment that this request could not go to, and why."""

    deployment: Deployment
    leg: int
    admission: Admission


class _Search:
    """One request's way through its candidates."""

    def __init__(self, exchange: Exchange, ask: Ask, chosen: Route) -> None:
        self._exchange = exchange
        self._board = exchange.runtime.board
        self._ask = ask
        self._chosen = chosen
        self._timeout_s = exchange.snapshot.settings.request_timeout_s
        self._loop = asyncio.get_running_loop()
        self._end_s = self._loop.time() + self._timeout_s
        self._leg = 0
        self._tried: list[_Tried] = []
        self._refused: list[_Refused] = []
        self._has_spent_budget = False
        self._skipped: tuple[Deployment, str] | None = None
        """Where the request would have gone, and why it goes elsewhere."""

    async def find(self) -> Answer:
        """Return the first answer that is good."""
        answer = (
            await self._try_all()
            or await self._wait_for_room()
            or await self._try_least_bad()
            or await self._repeat()
        )
        if answer is None:
            raise self._build_error()
        self._board.note_answered(self._chosen.alias)
        return answer

    async def _try_all(self) -> Answer | None:
        """Ask each candidate that is not refused, in order: at once, and free."""
        for number, leg in enumerate(self._chosen.legs):
            self._leg = number
            for deployment in leg.candidates:
                if not self._may_help(deployment, leg):
                    continue
                if self._tried and not self._has_time():
                    return None
                answer = await self._try(deployment)
                if answer is not None:
                    return answer
        return None

    async def _wait_for_room(self) -> Answer | None:
        """Ask the best one whose connections are all in use: one may become free."""
        for refused in self._refused:
            if refused.admission.reason == "full" and not self._is_answered_for():
                self._leg = refused.leg
                return await self._try(refused.deployment, may_wait=True)
        return None

    async def _try_least_bad(self) -> Answer | None:
        """Ask one that should be left alone, where all should: one of us at a time."""
        index = find_least_bad([refused.admission for refused in self._refused])
        if self._tried or index is None or self._board.is_panicking:
            return None
        chosen = self._refused[index]
        self._leg = chosen.leg
        self._board.is_panicking = True
        try:
            return await self._attempt(chosen.deployment, Ticket("panic"))
        finally:
            self._board.is_panicking = False

    async def _repeat(self) -> Answer | None:
        """Ask those that have failed again, after a while, as long as the budget allows it."""
        if self._is_answered_for():
            return None
        budget = self._board.find_budget(self._chosen.alias)
        while (chosen := self._find_repeatable()) is not None:
            wait_s = self._choose_wait_s(chosen)
            if wait_s is None:
                chosen.is_given_up = True
                continue
            if not budget.take():
                self._has_spent_budget = True
                return None
            try:
                if wait_s:
                    await asyncio.sleep(wait_s)
                answer = await self._try_again(chosen)
            finally:
                budget.finish()
            if answer is not None:
                return answer
        return None

    async def _try(self, deployment: Deployment, *, may_wait: bool = False) -> Answer | None:
        """Ask a deployment if it may be asked now; None if not, or if it has failed."""
        ticket = await admit(self._exchange, deployment, may_wait=may_wait)
        if isinstance(ticket, Admission):
            self._refused.append(_Refused(deployment, self._leg, ticket))
            if self._skipped is None:
                self._skipped = (deployment, ticket.reason)
            return None
        return await self._attempt(deployment, ticket)

    async def _attempt(self, deployment: Deployment, ticket: Ticket) -> Answer | None:
        self._note_way(deployment, ticket)
        share = self._board.find_place(deployment).success.share
        try:
            return await attempt(self._exchange, self._ask, deployment, ticket)
        except ProxyError as error:
            most = count_repeats(deployment.provider.max_retries, share)
            self._tried.append(_Tried(deployment, self._leg, error, most))
            self._skipped = (deployment, name_error(error))
            if not self._leg and not may_try_fallback(error):
                raise
            return None

    async def _try_again(self, tried: _Tried) -> Answer | None:
        """Ask a deployment once more; its new error takes the place of the old one."""
        self._leg = tried.leg
        ticket = await admit(self._exchange, tried.deployment, may_wait=True)
        if isinstance(ticket, Admission):
            # A hold that others have made longer meanwhile is waited for, if there is time.
            tried.is_given_up = ticket.reason != "rate_limited"
            return None
        tried.repeats += 1
        self._exchange.repeats += 1
        self._exchange.runtime.observer.retried(tried.deployment.provider.name)
        self._note_way(tried.deployment, ticket)
        try:
            return await attempt(self._exchange, self._ask, tried.deployment, ticket)
        except ProxyError as error:
            tried.error = error
            return None

    def _find_repeatable(self) -> _Tried | None:
        for tried in self._tried:
            if (
                not tried.is_given_up
                and tried.repeats < tried.most_repeats
                and may_repeat(tried.error)
                and not self._board.find_place(tried.deployment).is_simulated
            ):
                return tried
        return None

    def _choose_wait_s(self, tried: _Tried) -> float | None:
        """Return how long to wait for a deployment, None if that is not worth it."""
        provider = tried.deployment.provider
        wait_s = choose_wait_s(tried.error, tried.repeats, provider.retry_delay_s, random())
        held_s = self._find_hold_s(tried.deployment)
        if held_s is None:
            return None
        if held_s and not isinstance(tried.error, UpstreamRateLimited):
            return None
        wait_s = max(wait_s, held_s)
        return wait_s if self._has_time(wait_s) else None

    def _find_hold_s(self, deployment: Deployment) -> float | None:
        """Return how long a deployment is still held, 0 if it is not, None if it is given up."""
        view = self._board.breakers.look(deployment.id)
        if view.state == "open":
            left_s = max(0.0, view.retry_at_s - self._board.read_clock_s())
            return left_s if view.cause == "rate_limit" else None
        return None if view.state == "forced_open" else 0.0

    def _may_help(self, deployment: Deployment, leg: Leg) -> bool:
        """Return whether a deployment might take what others have refused as it is."""
        for tried in self._tried:
            if may_try_another(tried.error) or not isinstance(tried.error, UpstreamRejected):
                continue
            if tried.leg == self._leg and tried.error.code != CONTEXT_OVERFLOW:
                return False
            if tried.error.code == CONTEXT_OVERFLOW and not _is_larger(
                deployment, tried.deployment, is_unknown_larger=tried.leg != self._leg
            ):
                return False
        return True

    def _is_answered_for(self) -> bool:
        """Return whether the request itself is wrong: no waiting will mend it."""
        return any(
            isinstance(tried.error, UpstreamRejected) for tried in self._tried if not tried.leg
        )

    def _has_time(self, wait_s: float = 0.0) -> bool:
        return has_time(self._end_s - self._loop.time() - wait_s, self._timeout_s)

    def _note_way(self, deployment: Deployment, ticket: Ticket) -> None:
        """Have it told why the request goes this way, if it is not the way it should go."""
        exchange, skipped = self._exchange, self._skipped
        exchange.leg = self._leg
        exchange.furthest_leg = max(exchange.furthest_leg, self._leg)
        reason = self._chosen.legs[self._leg].reason if self._leg else self._chosen.reason
        if ticket.reason == "panic":
            reason = f"{reason},panic"
        elif skipped is not None:
            before, why = skipped
            reason = f"{reason},{why}"
            if before.id != deployment.id:
                exchange.runtime.observer.failed_over(
                    before.provider.name, deployment.provider.name, why
                )
        exchange.route_reason = reason

    def _build_error(self) -> ProxyError:
        """Return the most useful error; what was asked for first goes before its fallbacks."""
        errors = [tried.error for tried in self._tried if not tried.leg]
        errors = errors or [tried.error for tried in self._tried]
        refusals = [refused.admission for refused in self._refused]
        if not errors:
            return build_error(refusals)
        error = pick_error(errors, [each.retry_in_s for each in refusals if each.retry_in_s])
        if self._has_spent_budget:
            error.detail = ", ".join(filter(None, (error.detail, "retry_budget_exhausted")))
        return error


def _is_larger(deployment: Deployment, than: Deployment, *, is_unknown_larger: bool) -> bool:
    """Return whether a deployment takes longer requests than another, as far as is known."""
    ours, theirs = (each.provider.model_info.get(each.model) for each in (deployment, than))
    size = ours and ours.max_input_tokens
    other = theirs and theirs.max_input_tokens
    if size and other:
        return size > other
    return is_unknown_larger
