"""
What this process knows of the deployments: how they answer, and what their breakers are told.

Routing reads it, every attempt begins and ends here. It decides nothing itself: what an outcome
means is said by `policy/verdict.py`, what a breaker makes of it by its store.
"""

import logging
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from proxy.domain.breaker import Permit, name_host_breaker, name_key_breaker
from proxy.domain.catalog import SIMULATOR_TYPE, Deployment, Provider
from proxy.domain.errors import ProxyError, UpstreamError, UpstreamPoolFull
from proxy.pipeline.provider_health import ProviderHealth
from proxy.policy.egress import EgressWatch
from proxy.policy.host_faults import HostFaults
from proxy.policy.latency import Latency, RecentSuccess
from proxy.policy.recent_successes import RecentSuccesses
from proxy.policy.retry import RetryBudget
from proxy.policy.verdict import NEUTRAL, Verdict, judge
from proxy.stores.base import BreakerStore, VerdictStore

_HERE = ("", "localhost", "127.0.0.1", "::1")

_log = logging.getLogger("llm_proxy.egress")


class Place:
    """
    One deployment as this process sees it.

    All models of a provider that the configuration does not list are one: clients make up their
    names, and each would have a memory of its own.
    """

    __slots__ = (
        "ask_at_s",
        "failed_s",
        "failures",
        "host_id",
        "id",
        "in_flight",
        "is_here",
        "is_listed",
        "is_simulated",
        "key_id",
        "latency",
        "provider",
        "success",
        "successes",
        "whole",
    )

    def __init__(self, deployment: Deployment, successes: RecentSuccesses) -> None:
        self.id = deployment.breaker_id
        self.is_listed = deployment.is_listed
        self.provider = deployment.provider.name
        self.host_id = name_host_breaker(self.provider)
        self.key_id = name_key_breaker(self.provider)
        # What runs on this machine proves nothing about the way out of it.
        self.is_here = (urlsplit(deployment.provider.base_url).hostname or "") in _HERE
        # It fails when a client asks it to: that may be held against nobody but that client.
        self.is_simulated = deployment.provider.type == SIMULATOR_TYPE
        self.in_flight = 0
        self.ask_at_s = 0.0
        """From then on it is worth asking for a permit again."""
        self.failures = 0
        self.failed_s = 0.0
        self.latency = Latency()
        """Of streams, to their first content."""
        self.whole = Latency()
        """Of answers that are not streamed."""
        self.success = RecentSuccess()
        self.successes = successes
        """Of its provider, which all of its deployments share."""


class Ticket(Struct, frozen=True):
    """
    An attempt may go: where it stands in the breakers' history, and with which permits.

    `permits` are by the id of the breaker that gave each.
    """

    reason: str = "closed"
    epoch: int = 0
    permits: tuple[tuple[str, Permit], ...] = ()


class Seen(Struct, frozen=True):
    """The last time that a provider was seen to answer or fail; `at` is epoch seconds."""

    at: float
    response_time_s: float | None
    is_good: bool


class Board:
    """The deployments of one process, and its word to the breakers."""

    def __init__(
        self,
        breakers: BreakerStore,
        read_clock_s: Callable[[], float] = time.monotonic,
        on_egress: Callable[[bool], None] = lambda is_down: None,
        verdicts: VerdictStore | None = None,
    ) -> None:
        """Tell `breakers` how attempts end; `on_egress` hears when this machine is cut off."""
        self.breakers = breakers
        self.health = ProviderHealth(verdicts, read_clock_s)
        self.is_panicking = False
        """An attempt is under way that nothing but the lack of a better one speaks for."""
        self.read_clock_s = read_clock_s
        """The monotonic clock that the breakers' views go by."""
        self._on_egress = on_egress
        self._places: dict[str, Place] = {}
        self._hosts: dict[str, HostFaults] = {}
        self._egress = EgressWatch()
        self._is_cut_off = False
        self._budgets: dict[str, RetryBudget] = {}
        self._seen: dict[str, Seen] = {}
        self._providers: Mapping[str, Provider] = {}
        """Those in force since the last change; none before the first."""

    def find_place(self, deployment: Deployment) -> Place:
        """Return what is known of a deployment."""
        place = self._places.get(deployment.breaker_id)
        if place is None:
            successes = self.health.find_successes(deployment.provider.name)
            place = self._places[deployment.breaker_id] = Place(deployment, successes)
        return place

    @property
    def is_health_even(self) -> bool:
        """Every provider has the same `health_rank`."""
        return self.health.is_even

    def health_rank(self, deployment: Deployment) -> int:
        """Return how its provider's health stands among others: see `policy/routing.py`."""
        return self.health.rank(deployment.provider)

    def failures(self, deployment_id: str) -> int:
        """
        Return how often in a row attempts of this process at a deployment have lately failed.

        Forgotten with time: who stands back for it is not asked, and could not show better.
        """
        place = self._places.get(deployment_id)
        if place is None or not place.failures:
            return 0
        is_late = self.read_clock_s() - place.failed_s > self.breakers.rules.window_ms / 1000
        return 0 if is_late else place.failures

    def latency_s(self, deployment: Deployment) -> float:
        """Return what a request sent there now would have to wait for; 0: not known."""
        place = self.find_place(deployment)
        is_streamed = place.latency.is_known or not place.whole.is_known
        latency = place.latency if is_streamed else place.whole
        return latency.score_s(self.read_clock_s(), place.in_flight)

    def last_seen(self, provider: str) -> Seen | None:
        """Return when a provider was last seen to answer or fail, None if never."""
        return self._seen.get(provider)

    def list_seen(self, provider: str) -> list[str]:
        """Return the ids of a provider's deployments that something is known of."""
        return [place.id for place in self._places.values() if place.provider == provider]

    def find_budget(self, name: str) -> RetryBudget:
        """Return the budget for asking the deployments of one name again."""
        budget = self._budgets.get(name)
        if budget is None:
            budget = self._budgets[name] = RetryBudget()
        return budget

    def note_answered(self, name: str) -> None:
        """Take note that a request for one name was answered."""
        budget = self._budgets.get(name)
        if budget is not None:
            budget.note_success()

    def begin(self, place: Place) -> None:
        """Take note that an attempt begins."""
        place.in_flight += 1

    def note_content(self, place: Place, ticket: Ticket, ttft_s: float, *, streams: bool) -> None:
        """
        Take note that an attempt has come to its first content, or to its whole answer.

        A breaker does not wait for the end of a stream to be told of it: that may be half an
        hour away. Should it break after this, `end` tells that too.
        """
        if place.is_simulated:
            return
        place.failures = 0
        (place.latency if streams else place.whole).note(ttft_s, self.read_clock_s())
        # Only a first token is slow: of whole answers nothing is worked out for that.
        typical_s = place.latency.typical_s if streams else None
        verdict = judge(None, ttft_s=ttft_s, typical_s=typical_s)
        self._note_life(place)
        if ticket.permits:
            self._give_back(place, ticket, verdict)
        if ticket.reason == "panic":
            for breaker_id in (place.key_id, place.host_id, place.id):
                self.breakers.report(breaker_id, "alive")
        elif not ticket.permits or _find_permit(ticket, place.id) is None:
            self.breakers.report(place.id, verdict.result, epoch=ticket.epoch)

    def end(
        self,
        place: Place,
        ticket: Ticket,
        error: ProxyError | None,
        *,
        ttft_s: float | None = None,
        provider: Provider | None = None,
        was_cut_short: bool = False,
        is_over: bool = True,
    ) -> None:
        """
        Take note that an attempt has ended.

        Args:
            place: where.
            ticket: what it began with.
            error: how it failed; None: it did not.
            ttft_s: when its first content came, if that was told by `note_content`.
            provider: as it was when the attempt began; what has since changed its address or
                key is not answerable for that. None: as it is.
            was_cut_short: the request's deadline left it less time than its own clocks.
            is_over: False: its client or this server has ended it before anything was proven.
        """
        place.in_flight -= 1
        if error is None:
            if not is_over and ttft_s is None:
                self._give_back(place, ticket, NEUTRAL)
            if ttft_s is not None:
                place.success.note(True)
                place.successes.note(self.read_clock_s())
                self._seen[place.provider] = Seen(time.time(), ttft_s, is_good=True)
            return
        if place.is_simulated:
            return
        verdict = judge(error, was_cut_short=was_cut_short)
        if (provider is not None and self._is_outdated(provider)) or _is_a_clients(place, verdict):
            verdict = NEUTRAL
        if verdict.is_local_network:
            verdict = self._note_local_fault(place, verdict)
        elif isinstance(error, UpstreamError) and not isinstance(error, UpstreamPoolFull):
            self._note_life(place, is_host=not verdict.is_connect)
        if verdict.result in ("fail", "hold"):
            place.failures += 1
            place.failed_s = self.read_clock_s()
            place.success.note(False)
            if verdict.result == "fail":
                place.successes.note_failure()
            self._seen[place.provider] = Seen(time.time(), None, is_good=False)
        if ttft_s is None:
            self._tell(place, ticket, verdict)
            return
        if verdict.result == "fail":
            permit = _find_permit(ticket, place.id) or Permit(ticket.epoch, "")
            self.breakers.report(place.id, "broke", epoch=permit.epoch, token=permit.token)
        self._tell_hold(place, verdict)

    def give_back(self, ticket: Ticket) -> None:
        """Return the permits of an attempt that never began."""
        for breaker_id, permit in ticket.permits:
            self.breakers.report(breaker_id, "neutral", epoch=permit.epoch, token=permit.token)

    async def apply(self, before: Mapping[str, Provider], after: Mapping[str, Provider]) -> None:
        """
        Begin anew with providers that are new, or whose address or key is another now.

        What is known of providers that are gone, or changed, goes; attempts under way there end
        without a trace.
        """
        self._providers = after
        changed = {
            name
            for name, provider in after.items()
            if (old := before.get(name)) is not provider
            and (old is None or _identify(old) != _identify(provider))
        }
        gone = changed | (before.keys() - after.keys())
        self.health.apply(gone, after)
        if not gone:
            return
        ids = {place.id for place in self._places.values() if place.provider in changed}
        self._places = {
            each: place for each, place in self._places.items() if place.provider not in gone
        }
        for name in gone:
            self._hosts.pop(name, None)
            self._seen.pop(name, None)
        for name in changed:
            ids |= {name_host_breaker(name), name_key_breaker(name)}
        for breaker_id in ids:
            if self.breakers.look(breaker_id).state in ("open", "half_open"):
                await self.breakers.command(breaker_id, "reset")

    def _is_outdated(self, provider: Provider) -> bool:
        current = self._providers.get(provider.name)
        if current is provider or not self._providers:
            return False
        return current is None or _identify(current) != _identify(provider)

    def _tell(self, place: Place, ticket: Ticket, verdict: Verdict) -> None:
        """Tell each breaker what a failed attempt means for it."""
        self._give_back(place, ticket, verdict)
        if verdict.result == "fail" and _find_permit(ticket, place.id) is None:
            self.breakers.report(place.id, "fail", epoch=ticket.epoch)
        self._tell_hold(place, verdict)
        if verdict.is_connect and _find_permit(ticket, place.host_id) is None:
            host = self._hosts.get(place.provider)
            if host is None:
                host = self._hosts[place.provider] = HostFaults()
            if host.note_fault(place.id, self.read_clock_s()):
                wait_s = self.breakers.rules.open_ms / 1000
                self.breakers.report(place.host_id, "hold", hold_s=wait_s, cause="failures")

    def _tell_hold(self, place: Place, verdict: Verdict) -> None:
        """Have the deployment or its key left alone, if that was asked for."""
        hold_s = verdict.hold_s or 0.0
        if verdict.result == "hold" or hold_s:
            held_id = place.key_id if verdict.target == "key" else place.id
            self.breakers.report(held_id, "hold", hold_s=hold_s, cause=verdict.cause)

    def _give_back(self, place: Place, ticket: Ticket, verdict: Verdict) -> None:
        """Report with each permit what the attempt has proven for the breaker that gave it."""
        place.ask_at_s = 0.0
        for breaker_id, permit in ticket.permits:
            result = verdict.result
            if breaker_id == place.host_id:
                result = "fail" if verdict.is_connect else "neutral" if verdict is NEUTRAL else "ok"
            elif breaker_id == place.key_id:
                # What else went wrong says nothing about the key.
                result = "ok" if result in ("ok", "slow") else "neutral"
            elif result == "hold":
                # The hold itself is told without a permit: it counts whatever the epoch.
                result = "neutral"
            self.breakers.report(breaker_id, result, epoch=permit.epoch, token=permit.token)

    def _note_life(self, place: Place, *, is_host: bool = True) -> None:
        """Take note that something came back; a refusal proves the way there, not the host."""
        host = self._hosts.get(place.provider)
        if host is not None and is_host:
            host.note_life()
        if place.is_here:
            return
        self._egress.note_life()
        self._note_egress(False)

    def _note_local_fault(self, place: Place, verdict: Verdict) -> Verdict:
        now_s = self.read_clock_s()
        self._egress.note_fault(place.provider, now_s)
        is_down = self._egress.is_down(now_s)
        self._note_egress(is_down)
        return NEUTRAL if is_down else verdict

    def _note_egress(self, is_down: bool) -> None:
        if is_down == self._is_cut_off:
            return
        self._is_cut_off = is_down
        if is_down:
            _log.error(
                "egress is down: this machine reaches none of its providers; "
                "their breakers do not count this"
            )
        else:
            _log.warning("egress is up again")
        self._on_egress(is_down)


def _find_permit(ticket: Ticket, breaker_id: str) -> Permit | None:
    for each, permit in ticket.permits:
        if each == breaker_id:
            return permit
    return None


def _is_a_clients(place: Place, verdict: Verdict) -> bool:
    """Return whether it is about a model that only a client says there is."""
    return not place.is_listed and verdict.cause in ("misconfigured", "auth")


def _identify(provider: Provider) -> tuple[object, ...]:
    key = provider.api_key
    return (
        provider.type,
        provider.base_url,
        None if key is None else key.reveal(),
        provider.headers,
    )
