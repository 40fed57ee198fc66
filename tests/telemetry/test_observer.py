"""The fan-out to several observers."""

from proxy.domain.exchange import (
    AttemptRecord,
    ConnectionFault,
    HandoverReason,
    RequestRecord,
)
from proxy.telemetry.observer import ManyObservers
from tests.telemetry.records import build_attempt, build_record


class Recorder:
    """Keeps what it was told, under its own name, in a list that others share."""

    def __init__(self, name: str, told: list[tuple[str, object]]) -> None:
        self.name = name
        self.told = told

    def attempt_started(self, provider: str) -> None:
        self.told.append((self.name, provider))

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        self.told.append((self.name, attempt))

    def failed_over(self, from_provider: str, to_provider: str, reason: str) -> None:
        self.told.append((self.name, (from_provider, to_provider, reason)))

    def retried(self, provider: str) -> None:
        self.told.append((self.name, provider))

    def request_ended(self, record: RequestRecord) -> None:
        self.told.append((self.name, record))

    def connection_failed(self, fault: ConnectionFault) -> None:
        self.told.append((self.name, fault))

    def connection_handed_over(self, reason: HandoverReason) -> None:
        self.told.append((self.name, reason))


def test_all_are_told_in_order() -> None:
    """Each call reaches each observer once, in the order in which they were given."""
    told: list[tuple[str, object]] = []
    observers = ManyObservers(Recorder("first", told), Recorder("second", told))
    attempt, record = build_attempt(), build_record()

    observers.attempt_started("alpha")
    observers.attempt_ended(attempt)
    observers.failed_over("alpha", "beta", "upstream_timeout")
    observers.retried("beta")
    observers.request_ended(record)
    observers.connection_failed("write_stall")
    observers.connection_handed_over("head")

    expected: list[tuple[str, object]] = []
    moved = ("alpha", "beta", "upstream_timeout")
    for event in ("alpha", attempt, moved, "beta", record, "write_stall", "head"):
        expected += [("first", event), ("second", event)]
    assert expected == told
