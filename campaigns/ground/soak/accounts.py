"""
Whether clients, service, log and providers have counted the same. Pure.

A client that got its answer says nothing of how: an attempt that fails by itself may be hidden
by the next one. So each failure and each second request must be one that a provider has provoked.
"""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct, field

from campaigns.ground.soak.log import LogCounts
from campaigns.ground.soak.plan import ENDPOINTS, LEAVING, OTHER_ONE, PROVIDERS
from campaigns.ground.soak.watch import find_metric
from campaigns.programs.soak_upstream import Counts


class Numbers(Struct):
    """The service's own numbers since its start, by provider."""

    attempts: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    failovers: dict[str, int] = field(default_factory=dict)
    """From a provider to its other one."""
    all_failovers: int = 0
    retries: int = 0
    requests: int = 0


def read_numbers(text: str) -> Numbers:
    """Return the numbers in a page of metrics."""

    def find(name: str, **labels: str) -> int:
        return int(find_metric(text, f"llm_proxy_{name}_total", **labels))

    return Numbers(
        {name: find("attempts", provider=name) for name in PROVIDERS},
        {name: find("errors", provider=name) for name in PROVIDERS},
        {name: find("failovers", **{"from": name, "to": OTHER_ONE[name]}) for name in PROVIDERS},
        find("failovers"),
        find("retries"),
        sum(find("requests", endpoint=each) for each in ENDPOINTS),
    )


def check_failures(counts: Counts, numbers: Numbers) -> list[str]:
    """Return what the service tells of failed attempts beyond, or short of, provoked failures."""
    complaints = []
    for name, seen in zip(PROVIDERS, counts.ports, strict=True):
        wanted = seen.refused + seen.lost_new
        told = (numbers.errors.get(name, 0), numbers.failovers.get(name, 0))
        if told != (wanted, wanted):
            complaints.append(f"{name} failed {wanted}, told {told[0]} errors, {told[1]} failovers")
    if numbers.all_failovers != sum(numbers.failovers.values()):
        complaints.append(f"{numbers.all_failovers} failovers, not all to the other transport")
    if numbers.retries:
        complaints.append(f"{numbers.retries} asked again where they had failed")
    return complaints


def check_attempts(counts: Counts, log: LogCounts, numbers: Numbers) -> list[str]:
    """
    Return where providers have not seen what was attempted.

    Of clients that stay each attempt is one whole request; one more is allowed for each that a
    provider broke on a connection that had been pooled, and must be there. A client that leaves
    may be gone before its request was seen, or before it was asked for again.
    """
    complaints = []
    for name, seen in zip(PROVIDERS, counts.ports, strict=True):
        stale = seen.lost_pooled + seen.hasty
        attempts, leaving = log.attempts[name], log.attempts_leaving[name]
        if seen.requests != attempts + stale:
            complaints.append(
                f"{name} saw {seen.requests} requests of {attempts} attempts, {stale} on stale "
                "connections"
            )
        if seen.leaving > leaving + seen.hasty_leaving:
            complaints.append(f"{name} saw {seen.leaving} requests of {leaving} that left")
        if numbers.attempts.get(name) != attempts + leaving:
            complaints.append(
                f"{name}: {numbers.attempts.get(name)} attempts told, {attempts + leaving} logged"
            )
        if seen.abandoned:
            complaints.append(f"{name}: {seen.abandoned} of clients that stay were let go of")
    return complaints


def check_stale(counts: Counts) -> list[str]:
    """Return which transport has not met requests that lay on a connection as it closed."""
    complaints = []
    for number in (0, 1):
        hasty = sum(each.hasty for each in counts.ports[number::2])
        lost = sum(each.lost_pooled for each in counts.ports[number::2])
        if not hasty or not lost:
            complaints.append(f"transport {number + 1}: {hasty} hastily, {lost} reset or cut")
    return complaints


def check_lines(asked: Mapping[str, int], left: int, log: LogCounts, requests: int) -> list[str]:
    """
    Return where the log has not one line for each request.

    Args:
        asked: by alias, what clients have asked for.
        left: how many of them were to leave; one may be gone before it had asked.
        log: what was logged.
        requests: how many the service tells of in its numbers.
    """
    stayed = Counter({name: count for name, count in asked.items() if not _leaves(name)})
    lines = Counter({name: count for name, count in log.lines.items() if not _leaves(name)})
    complaints = [
        f"{lines[name]} lines of {stayed[name]} requests for {name}"
        for name in sorted(stayed.keys() | lines.keys())
        if lines[name] != stayed[name]
    ]
    all_lines = log.lines.total()
    if all_lines != requests:
        complaints.append(f"{all_lines} lines of {requests} requests in the numbers")
    if all_lines - lines.total() > left:
        complaints.append(f"{all_lines - lines.total()} lines of {left} that left")
    return complaints


def _leaves(alias: str) -> bool:
    return not alias or alias.startswith(LEAVING)
