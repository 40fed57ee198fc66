"""What observers get to see; each is told once per request and must never fail or wait."""

from typing import Protocol

from proxy.domain.exchange import (
    AttemptRecord,
    ConnectionFault,
    HandoverReason,
    RequestRecord,
)


class Observer(Protocol):
    """Takes note of what the request path does."""

    def attempt_started(self, provider: str) -> None:
        """A request to `provider` is about to be dispatched."""

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        """That attempt is over; follows every `attempt_started` exactly once."""

    def failed_over(self, from_provider: str, to_provider: str, reason: str) -> None:
        """
        An attempt goes to another deployment than the one before it in the order.

        `reason` is the public code of the error that was its answer, or why it was not asked:
        a `Reason` of `policy/admission.py`. Both may be of one provider.
        """

    def retried(self, provider: str) -> None:
        """The deployment that was asked last is about to be asked once more."""

    def request_ended(self, record: RequestRecord) -> None:
        """A request is over, however it ended; called exactly once per request."""

    def connection_failed(self, fault: ConnectionFault) -> None:
        """A client's connection was refused, or closed by us because of what the client did."""

    def connection_handed_over(self, reason: HandoverReason) -> None:
        """A client's connection is aiohttp's from now on: it asked for more than is plain."""
