"""When several deployments of one provider cannot be reached, its host is what is wrong."""

WITHIN_S = 10.0
FEWEST = 3
"""So many deployments must have failed within that time."""


class HostFaults:
    """
    Knows which deployments of one provider have lately failed before a request could be sent.

    Source: reliability.md §4.1; tests/policy/test_host_faults.py.
    """

    __slots__ = ("_failed_s",)

    def __init__(self) -> None:
        self._failed_s: dict[str, float] = {}

    def note_fault(self, deployment_id: str, now_s: float) -> bool:
        """
        Take note of a failure to connect, and return whether it is the host's.

        When it is, everything is forgotten: the host's breaker goes on from here.

        Args:
            deployment_id: at which the attempt was.
            now_s: seconds of a monotonic clock.
        """
        self._failed_s[deployment_id] = now_s
        self._failed_s = {
            each: at_s for each, at_s in self._failed_s.items() if now_s - at_s <= WITHIN_S
        }
        if len(self._failed_s) < FEWEST:
            return False
        self._failed_s.clear()
        return True

    def note_life(self) -> None:
        """Take note that the host has answered something."""
        self._failed_s.clear()
