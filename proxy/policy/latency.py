"""
How soon a deployment answers, and how often: two small memories that routing goes by.

Times are seconds of a monotonic clock; `stores/` and `pipeline/` keep the values, one of each
for each deployment.
"""

from math import exp, log

TAU_S = 10.0
"""An idle deployment's peak falls to 37 % in this time, so that a slow one is tried again."""
UNKNOWN_S = 1.0
"""What each attempt under way counts at a deployment of which no time is known yet."""
HALF_LIFE_S = 3.5 * 86_400
"""A time of so long ago weighs half as much in what is typical."""
MIN_SAMPLES = 20
"""With fewer times than these nothing is typical."""
SHORTEST_S = 0.001
"""What is faster is taken for this: a mean of ratios has no place for 0."""
WEIGHT = 0.1
"""What the newest attempt counts in the share of good ones."""


class Latency:
    """
    The times to the first token of one deployment: a peak that fades, and what is typical.

    The peak rises at once to a time that is worse, and comes down slowly to better ones: who
    is in trouble is left alone before the mean would tell.

    Source: Finagle's peak EWMA; reliability.md §4.5 for what is slow;
    tests/policy/test_latency.py.
    """

    __slots__ = ("_log_mean", "_noted_s", "_peak_s", "_samples", "_weight")

    def __init__(self) -> None:
        self._peak_s = 0.0
        self._noted_s = 0.0
        self._samples = 0
        self._weight = 0.0
        self._log_mean = 0.0

    def note(self, ttft_s: float, now_s: float) -> None:
        """
        Take note of one answer.

        Args:
            ttft_s: from dispatch to the first content; of a non-stream, to the whole answer.
            now_s: the time. A clock that goes back lets nothing fade.
        """
        ttft_s = max(ttft_s, SHORTEST_S)
        waited_s = max(0.0, now_s - self._noted_s) if self._samples else 0.0
        if ttft_s >= self._peak_s:
            self._peak_s = ttft_s
        else:
            kept = exp(-waited_s / TAU_S)
            self._peak_s = self._peak_s * kept + ttft_s * (1.0 - kept)
        self._weight = self._weight * 0.5 ** (waited_s / HALF_LIFE_S) + 1.0
        self._log_mean += (log(ttft_s) - self._log_mean) / self._weight
        self._samples += 1
        self._noted_s = now_s

    def score_s(self, now_s: float, in_flight: int) -> float:
        """
        Return what a request sent now would have to wait for, roughly; less is better.

        Args:
            now_s: the time.
            in_flight: attempts under way at the deployment.

        Returns:
            The peak times the requests that would share it. It fades while nothing is under
            way, so that one request is tried, and not all at once. 0 if no time is known and
            nothing is under way: such a deployment is tried first.
        """
        if not self._samples:
            return in_flight * UNKNOWN_S
        if in_flight:
            return self._peak_s * (in_flight + 1)
        return self._peak_s * exp(-max(0.0, now_s - self._noted_s) / TAU_S)

    @property
    def is_known(self) -> bool:
        """At least one time is."""
        return self._samples > 0

    @property
    def typical_s(self) -> float | None:
        """The geometric mean of the times, older ones counting less; None of too few."""
        return exp(self._log_mean) if self._samples >= MIN_SAMPLES else None


class RecentSuccess:
    """
    The share of good attempts of one deployment, newer ones counting more.

    Source: docs/routing.md; tests/policy/test_latency.py.
    """

    __slots__ = ("share",)

    def __init__(self) -> None:
        self.share = 1.0
        """From 0 to 1; 1 while nothing is known."""

    def note(self, is_good: bool) -> None:
        """Take note of one attempt; those that prove nothing are not to be told."""
        self.share += WEIGHT * (is_good - self.share)
