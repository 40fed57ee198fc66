"""
Several observers behind one call.

Here lives only the fan-out; what the observers do is in `request_log.py` and `metrics.py`.
`wiring.py` builds one `ManyObservers` and hands it to the pipeline.
"""

from proxy.domain.exchange import (
    AttemptRecord,
    ConnectionFault,
    HandoverReason,
    RequestRecord,
)
from proxy.telemetry.base import Observer


class ManyObservers:
    """Tell every observer, in the order given, what one `Observer` would be told."""

    __slots__ = ("_observers",)

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def attempt_started(self, provider: str) -> None:
        """Tell all that a request to `provider` is about to be dispatched."""
        for observer in self._observers:
            observer.attempt_started(provider)

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        """Tell all that an attempt is over."""
        for observer in self._observers:
            observer.attempt_ended(attempt)

    def failed_over(self, from_provider: str, to_provider: str, reason: str) -> None:
        """Tell all that a request goes on at another provider."""
        for observer in self._observers:
            observer.failed_over(from_provider, to_provider, reason)

    def retried(self, provider: str) -> None:
        """Tell all that a deployment is asked once more."""
        for observer in self._observers:
            observer.retried(provider)

    def request_ended(self, record: RequestRecord) -> None:
        """Tell all that a request is over."""
        for observer in self._observers:
            observer.request_ended(record)

    def connection_failed(self, fault: ConnectionFault) -> None:
        """Tell all that a client's connection was refused, or closed by us."""
        for observer in self._observers:
            observer.connection_failed(fault)

    def connection_handed_over(self, reason: HandoverReason) -> None:
        """Tell all that a client's connection is aiohttp's from now on."""
        for observer in self._observers:
            observer.connection_handed_over(reason)
