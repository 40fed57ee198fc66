"""
What probes by completions have cost, and whether the next one may be paid for. Pure.

The account is this process's own, and starts anew with it. A probe is booked before it is
sent, at more than it should cost: a little too few are made rather than one too many paid.
"""

from proxy.domain.catalog import Provider
from proxy.providers.probe_answer import find_probed_model

DAY_S = 86_400.0
PROMPT_TOKENS = 32
ANSWER_TOKENS = 16
"""More than one word and one token are ever counted as, whatever a provider puts around them."""

_SLICE_S = 3600.0
_MILLION = 1_000_000


class Spending:
    """The last day's spending, provider by provider."""

    def __init__(self) -> None:
        self._booked: dict[str, dict[int, int]] = {}

    def book(self, provider: Provider, now_s: float) -> str | None:
        """
        Book one probe by completion.

        Returns:
            Why it may not be made: then nothing was booked. None: it may.
        """
        model = find_probed_model(provider)
        if model is None:
            return "no model to ask for a token"
        micros = price_probe(provider, model)
        if micros is None:
            return "the price of a token is not known"
        if micros + self.count_spent(provider.name, now_s) > provider.probe.max_usd_micros_per_day:
            return "probe_max_usd_per_day is spent"
        slices = self._booked.setdefault(provider.name, {})
        current = int(now_s // _SLICE_S)
        slices[current] = slices.get(current, 0) + micros
        return None

    def count_spent(self, name: str, now_s: float) -> int:
        """Return what was booked for a provider within the last day, in millionths of a dollar."""
        slices = self._booked.get(name, {})
        # One slice more than a day has: the oldest of them counts until all of it is over.
        oldest = int((now_s - DAY_S) // _SLICE_S)
        for passed in [number for number in slices if number < oldest]:
            del slices[passed]
        return sum(slices.values())


def price_probe(provider: Provider, model: str) -> int | None:
    """Return what one probe is booked at, in millionths of a dollar; None: nobody has said."""
    info = provider.model_info.get(model)
    if info is None:
        return None
    prompt, answer = (
        info.input_usd_micros_per_million_tokens,
        info.output_usd_micros_per_million_tokens,
    )
    if prompt is None or answer is None:
        return None
    return -(-(PROMPT_TOKENS * prompt + ANSWER_TOKENS * answer) // _MILLION)
