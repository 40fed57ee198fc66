"""
Stage: ask providers, and come back with an answer that may be shown to the client.

For a stream that is the commit point: the first event with content has been read. Until
then nothing of any attempt has reached the client, whatever went wrong, so another deployment
can still answer; after it nobody else can.
"""

import asyncio
import time
from random import random

from msgspec import Struct

from proxy.domain.catalog import Deployment
from proxy.domain.errors import (
    DeadlineExceeded,
    NotOffered,
    ProxyError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from proxy.pipeline.admit import admit
from proxy.pipeline.attempt import Answer, attempt
from proxy.pipeline.board import Ticket
from proxy.pipeline.context import Exchange, name_error
from proxy.pipeline.route import Route
from proxy.pipeline.signs_of_life import SignsOfLife
from proxy.policy.admission import Admission, build_error, find_least_bad
from proxy.policy.retry import (
    CONTEXT_OVERFLOW,
    choose_wait_s,
    count_repeats,
    has_time,
    may_repeat,
    may_try_fallback,
    pick_error,
)
from proxy.upstream.deadline import Deadline
from proxy.wire.base import Ask

MOST_ATTEMPTS = 16
"""For one request, however many names it gives and deployments these have."""
USUAL_TIMES = 3.0


async def call(exchange: Exchange, ask: Ask, chosen: Route) -> Answer:
    """
    Ask the candidates, best first, until one has an answer, and return that.

    Raises:
        ProxyError: none had one, or `request_timeout` ran out; the most useful error that there
            was. Nothing has been sent but signs of life.
    """
    signs_of_life = SignsOfLife(exchange) if ask.streams else None
    search = _Search(exchange, ask, chosen)
    try:
        with Deadline(exchange.snapshot.settings.request_timeout_s):
            return await search.find()
    except TimeoutError:
        error = DeadlineExceeded()
        exchange.fail_attempt(error)
        raise search.build_error(error) from None
    finally:
        if signs_of_life is not None:
            signs_of_life.stop()
        search.forget()


class _Tried(Struct):
    """A deployment that has failed this request, and how."""

    deployment: Deployment
    leg: int
    error: ProxyError
    most_repeats: int
    """By how it did before this request, whose own failures are no reason to end it sooner."""
    repeats: int = 0
    held_s: float = 0.0
    """How long it was said to be held when it was to be asked again."""
    is_given_up: bool = False


class _Refused(Struct, frozen=True):
    """A deployment that this request could not go to, and why."""

    deployment: Deployment
    leg: int
    admission: Admission


class _Search:
    """One request's way through its candidates."""

    __slots__ = (
        "_ask",
        "_board",
        "_chosen",
        "_end_s",
        "_exchange",
        "_has_spent_budget",
        "_leg",
        "_refused",
        "_skipped",
        "_timeout_s",
        "_tried",
    )

    def __init__(self, exchange: Exchange, ask: Ask, chosen: Route) -> None:
        self._exchange = exchange
        self._board = exchange.runtime.board
        self._ask = ask
        self._chosen = chosen
        self._timeout_s = exchange.snapshot.settings.request_timeout_s
        self._end_s = time.monotonic() + self._timeout_s
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
            raise self.build_error()
        self._board.note_answered(self._find_budget_name())
        return answer

    def _find_budget_name(self) -> str:
        """Return whose budget repetitions go by: a name's, but none that a client has made up."""
        candidates = self._chosen.legs.first.candidates
        is_made_up = bool(candidates) and not candidates[0].is_listed
        return candidates[0].breaker_id if is_made_up else self._chosen.alias

    async def _try_all(self) -> Answer | None:
        """Ask each candidate that is not refused, in order: at once, and free."""
        legs = self._chosen.legs
        for number, leg in enumerate(legs):
            self._leg = number
            for place, deployment in enumerate(leg.candidates, 1):
                if not self._may_help(deployment):
                    continue
                if self._tried and not self._may_go_on():
                    return None
                is_last = place == len(leg.candidates) and not legs.may_have(number + 1)
                answer = await self._try(deployment, is_last=is_last)
                if answer is not None:
                    return answer
        return None

    async def _wait_for_room(self) -> Answer | None:
        """Ask the best one whose connections are all in use: one may become free."""
        for refused in self._refused:
            if refused.admission.reason == "full" and not self._is_wrong_itself():
                self._leg = refused.leg
                return await self._try(refused.deployment, may_wait=True)
        return None

    async def _try_least_bad(self) -> Answer | None:
        """Ask one that should be left alone, where all should: one of us at a time."""
        index = find_least_bad([refused.admission for refused in self._refused])
        if self._has_asked() or index is None or self._board.is_panicking:
            return None
        chosen = self._refused[index]
        self._leg = chosen.leg
        self._board.is_panicking = True
        try:
            # Others wait for their turn to try: none may hold it for longer than this.
            within_s = chosen.deployment.provider.clocks.first_token_s
            return await self._attempt(chosen.deployment, Ticket("panic"), within_s)
        finally:
            self._board.is_panicking = False

    async def _repeat(self) -> Answer | None:
        """Ask those that have failed again, after a while, as long as the budget allows it."""
        if self._is_wrong_itself():
            return None
        budget = self._board.find_budget(self._find_budget_name())
        while (chosen := self._find_repeatable()) is not None and self._may_go_on():
            wait_s = self._choose_wait_s(chosen)
            if wait_s is None:
                chosen.is_given_up = True
                continue
            if not budget.take(time.monotonic()):
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

    async def _try(
        self, deployment: Deployment, *, is_last: bool = True, may_wait: bool = False
    ) -> Answer | None:
        """Ask a deployment if it may be asked now; None if not, or if it has failed."""
        ticket = await admit(self._exchange, deployment, may_wait=may_wait)
        if isinstance(ticket, Admission):
            self._refused.append(_Refused(deployment, self._leg, ticket))
            if self._skipped is None:
                self._skipped = (deployment, ticket.reason)
            return None
        return await self._attempt(
            deployment, ticket, None if is_last else self._find_share_s(deployment)
        )

    async def _attempt(
        self, deployment: Deployment, ticket: Ticket, within_s: float | None
    ) -> Answer | None:
        """
        Ask a deployment, for `within_s` at most; None if it has failed and others may help.

        Raises:
            ProxyError: what was asked for first calls the request itself wrong.
        """
        self._note_way(deployment, ticket)
        share = self._board.find_place(deployment).success.share
        try:
            return await attempt(self._exchange, self._ask, deployment, ticket, within_s)
        except ProxyError as error:
            most = count_repeats(deployment.provider.max_retries, share)
            self._tried.append(_Tried(deployment, self._leg, error, most))
            self._skipped = (deployment, name_error(error))
            if not self._leg and not may_try_fallback(error):
                raise
            error.forget_origin()
            return None

    async def _try_again(self, tried: _Tried) -> Answer | None:
        """Ask a deployment once more; its new error takes the place of the old one."""
        self._leg = tried.leg
        ticket = await admit(self._exchange, tried.deployment, may_wait=True)
        if isinstance(ticket, Admission):
            # Others have made the hold longer meanwhile, or have all permits: that is waited for.
            tried.is_given_up = ticket.reason not in ("rate_limited", "overloaded", "half_open")
            tried.held_s = ticket.retry_in_s
            return None
        tried.held_s = 0.0
        tried.repeats += 1
        self._exchange.repeats += 1
        self._exchange.runtime.observer.retried(tried.deployment.provider.name)
        self._note_way(tried.deployment, ticket)
        try:
            return await attempt(self._exchange, self._ask, tried.deployment, ticket)
        except ProxyError as error:
            error.forget_origin()
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
        is_limit = isinstance(tried.error, UpstreamRateLimited | UpstreamOverloaded)
        if held_s is None or (held_s and not is_limit):
            return None
        wait_s = max(wait_s, held_s, tried.held_s)
        return wait_s if self._has_time(wait_s) else None

    def _find_hold_s(self, deployment: Deployment) -> float | None:
        """Return how long a deployment is still held, 0 if it is not, None if it is given up."""
        view = self._board.breakers.look(deployment.breaker_id)
        if view.state == "open":
            left_s = max(0.0, view.retry_at_s - self._board.read_clock_s())
            return left_s if view.cause in ("rate_limit", "overloaded") else None
        return None if view.state == "forced_open" else 0.0

    def _may_help(self, deployment: Deployment) -> bool:
        """
        Return whether a deployment might take a request that others have called wrong.

        What is too long may fit into a larger one; what was filtered another model may answer.
        """
        for tried in self._tried:
            if not isinstance(tried.error, UpstreamRejected):
                continue
            is_other_model = tried.leg != self._leg
            if tried.error.code == CONTEXT_OVERFLOW:
                if not _is_larger(deployment, tried.deployment, if_unknown=is_other_model):
                    return False
            elif not is_other_model:
                return False
        return True

    def _has_asked(self) -> bool:
        """Return whether a provider has been asked; one that cannot do it is not."""
        return any(not isinstance(tried.error, NotOffered) for tried in self._tried)

    def _is_wrong_itself(self) -> bool:
        """Return whether what was asked for first calls the request wrong: no waiting helps."""
        return any(
            isinstance(tried.error, UpstreamRejected) for tried in self._tried if not tried.leg
        )

    def _find_share_s(self, deployment: Deployment) -> float | None:
        """
        Return how long an attempt may take that others could follow; None: as long as it likes.

        One that says nothing at all must leave time for the next: half of what is left, unless
        its own clocks are shorter. But long answers are no fault: nothing is cut short before it
        has taken three times as long as what is usual there, or while that is not known.
        """
        streams, place = self._ask.streams, self._board.find_place(deployment)
        own_s = deployment.provider.clocks.to_content_s(streams)
        typical_s = (place.latency if streams else place.whole).typical_s
        half_s = (self._end_s - time.monotonic()) / 2
        if own_s <= half_s or typical_s is None or self._exchange.is_buffered:
            return None
        return max(half_s, USUAL_TIMES * typical_s)

    def _may_go_on(self) -> bool:
        """Return whether one more attempt is worth it: there is time, and it is not one of many."""
        return len(self._exchange.attempts) < MOST_ATTEMPTS and self._has_time()

    def _has_time(self, wait_s: float = 0.0) -> bool:
        return has_time(self._end_s - time.monotonic() - wait_s, self._timeout_s)

    def _note_way(self, deployment: Deployment, ticket: Ticket) -> None:
        """Have it told why the request goes this way, if it is not the way it should go."""
        exchange, skipped = self._exchange, self._skipped
        exchange.leg = self._leg
        exchange.furthest_leg = max(exchange.furthest_leg, self._leg)
        reason = self._chosen.reason
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

    def forget(self) -> None:
        """Let go of errors: the traceback of one that was raised holds this search."""
        self._tried.clear()

    def build_error(self, last: ProxyError | None = None) -> ProxyError:
        """
        Return the most useful error; what was asked for first goes before its fallbacks.

        `last` is one more than those of the attempts that have ended.
        """
        errors = [tried.error for tried in self._tried if not tried.leg]
        others = [tried.error for tried in self._tried if tried.leg]
        if last is not None:
            errors.append(last)
        refusals = [refused.admission for refused in self._refused]
        if not self._has_asked() and last is None and (refusals or not self._tried):
            # Those that were not asked may be able to do what the others cannot.
            if self._skipped is not None:
                self._exchange.route_reason = f"{self._chosen.reason},{self._skipped[1]}"
            return build_error(refusals)
        waits_s = [each.retry_in_s for each in refusals]
        if errors:
            waits_s += [each.retry_after_s or 0.0 for each in others]
        error = pick_error(errors or others, [each for each in waits_s if each])
        if self._has_spent_budget:
            error.detail = ", ".join(filter(None, (error.detail, "retry_budget_exhausted")))
        return error


def _is_larger(deployment: Deployment, than: Deployment, *, if_unknown: bool) -> bool:
    """Return whether a deployment takes longer requests than another, as far as is known."""
    ours = deployment.info.max_input_tokens
    theirs = than.info.max_input_tokens
    return ours > theirs if ours and theirs else if_unknown
