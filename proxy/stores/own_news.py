"""Telling Redis what only this process knows: a portion at a time, until all of it is taken."""

from functools import partial
from itertools import islice

from proxy.domain.breaker import BreakerCommand, BreakerView
from proxy.stores.breaker_calls import BreakerCalls
from proxy.stores.own_breakers import OwnBreakers

MOST_TOLD = 100
"""At once: many processes come back at the same time, and Redis has others to answer."""


class OwnNews:
    """What is not taken, for whatever reason, stays news and is told again."""

    def __init__(self, calls: BreakerCalls, own: OwnBreakers) -> None:
        self._calls = calls
        self._own = own
        self._under_way = 0

    @property
    def is_told(self) -> bool:
        """Redis knows everything that this process does."""
        return not (self._under_way or self._own.news or self._own.commands)

    def tell(self) -> None:
        """Tell a portion, unless the one before is still under way."""
        if self._under_way:
            return
        commands = list(islice(self._own.commands.items(), MOST_TOLD))
        news = self._own.list_to_tell(MOST_TOLD - len(commands))
        self._under_way = len(commands) + len(news)
        for breaker_id, command in commands:
            done = partial(self._end_command, breaker_id, command)
            self._calls.post("command", breaker_id, [command], done, self._end)
        for breaker_id, wait_s, trips, cause in news:
            done = partial(self._end_news, breaker_id, self._own.look(breaker_id))
            what = [round(wait_s * 1000), trips, cause]
            self._calls.post("adopt", breaker_id, what, done, self._end)

    def _end_command(self, breaker_id: str, command: BreakerCommand) -> None:
        self._own.forget_command(breaker_id, command)
        self._end()

    def _end_news(self, breaker_id: str, told: BreakerView) -> None:
        self._own.note_told(breaker_id, told)
        self._end()

    def _end(self) -> None:
        self._under_way -= 1
