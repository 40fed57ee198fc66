"""Calls of `breaker.lua` over the link: asked and awaited, or posted behind everybody's back."""

from collections.abc import Callable, Sequence

from proxy.domain.breaker import BreakerRules
from proxy.policy.breaker import Breaker
from proxy.stores.breaker_messages import (
    BREAKER_SCRIPT,
    INDEX_KEY,
    INDEX_SCRIPT,
    ORDER_KEY,
    PREFIX,
    IndexPage,
    Stand,
    build_args,
    build_keys,
    encode_rules,
    read_breaker,
    read_index,
    read_stand,
)
from proxy.stores.breaker_views import BreakerViews
from proxy.stores.redis_errors import RedisRefused, RedisUnavailable
from proxy.stores.redis_job import Reply
from proxy.stores.redis_link import RedisLink

OPERATOR_WAIT_S = 0.25
"""Operators can wait for longer than requests can."""


class BreakerCalls:
    """Every reply that tells how a breaker stands is learned before anybody else sees it."""

    def __init__(
        self,
        link: RedisLink,
        views: BreakerViews,
        rules: BreakerRules,
        read_now: Callable[[], str],
    ) -> None:
        """Prepare calls; `read_now` returns the time in ms, or is `leave_time_to_redis`."""
        self.has_last_failed = False
        """What was asked for last was not done, or not as far as is known."""
        self._link = link
        self._views = views
        self._read_now = read_now
        self.set_rules(rules)

    def set_rules(self, rules: BreakerRules) -> None:
        """Go by other rules from now on."""
        self._packed_rules = encode_rules(rules)

    async def ask(
        self, operation: str, breaker_id: str, *with_what: object, wait_s: float | None = None
    ) -> Stand:
        """
        Have something done and return how the breaker stands then.

        Raises:
            RedisUnavailable: it was not done, or nobody knows.
        """
        asked = self._views.ask()
        args = self._build_args(operation, breaker_id, *with_what)
        keys = build_keys(breaker_id)
        try:
            reply = await self._link.run(BREAKER_SCRIPT, keys, args, wait_s=wait_s)
            return self._take(breaker_id, asked, reply)
        except ValueError as error:
            self.has_last_failed = True
            raise RedisRefused("a reply that is none of a breaker") from error
        except RedisUnavailable:
            self.has_last_failed = True
            raise

    def post(
        self,
        operation: str,
        breaker_id: str,
        with_what: Sequence[object],
        on_done: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        """Have something done; one of the two is called, once, as `RedisLink.post` says."""
        asked = self._views.ask()

        def take(reply: Reply) -> None:
            self._take(breaker_id, asked, reply)
            on_done()

        def lose(_: RedisUnavailable) -> None:
            self.has_last_failed = True
            on_lost()

        args = self._build_args(operation, breaker_id, *with_what)
        self._link.post(BREAKER_SCRIPT, build_keys(breaker_id), args, take, lose)

    def post_index(
        self,
        where: tuple[int, int, int],
        on_page: Callable[[int, IndexPage], None],
        on_lost: Callable[[], None],
    ) -> None:
        """
        Ask for a page of the index.

        Args:
            where: `first`, `told` and `place` of the page before; zeros begin anew.
            on_page: gets the question's number and the page.
            on_lost: called in its stead, as `RedisLink.post` says.
        """
        asked = self._views.ask()

        def take(reply: Reply) -> None:
            on_page(asked, read_index(reply))

        def lose(_: RedisUnavailable) -> None:
            on_lost()

        keys, args = (INDEX_KEY, ORDER_KEY), (PREFIX, self._read_now(), *where)
        self._link.post(INDEX_SCRIPT, keys, args, take, lose)

    async def read(self, breaker_id: str) -> tuple[int, Breaker]:
        """
        Return Redis's time and a whole breaker.

        Raises:
            RedisUnavailable: it cannot be read now.
        """
        args = self._build_args("read", breaker_id)
        keys = build_keys(breaker_id)
        reply = await self._link.run(BREAKER_SCRIPT, keys, args, wait_s=OPERATOR_WAIT_S)
        try:
            return read_breaker(reply)
        except ValueError as error:
            raise RedisRefused("a reply that is no breaker") from error

    def _build_args(
        self, operation: str, breaker_id: str, *with_what: object
    ) -> tuple[str | bytes, ...]:
        rules, now = self._packed_rules, self._read_now()
        return build_args(operation, breaker_id, rules, *with_what, now=now)

    def _take(self, breaker_id: str, asked: int, reply: Reply) -> Stand:
        stand = read_stand(reply)
        self.has_last_failed = False
        self._views.learn_stand(breaker_id, stand, asked)
        return stand
