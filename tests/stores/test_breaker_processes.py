"""Processes that share one breaker: never more permits than the rules lend, and none lost."""

from tests.fakes.redis_server import RedisServer
from tests.stores.permit_process import RULES
from tests.stores.permits import (
    count_held,
    crash_holders,
    fight_for_permits,
    open_breaker,
    wait_for_permit,
)


def test_processes_never_hold_more_than_the_permits(redis_server: RedisServer) -> None:
    """Four processes take and return them as fast as they can: three are out at most."""
    open_breaker(redis_server)
    fight = fight_for_permits(redis_server, processes=4, for_s=0.7)
    assert fight.permits > 10 * RULES.permits
    assert fight.most <= RULES.permits
    assert count_held(redis_server) == 0


def test_holders_that_are_killed_lock_nobody_out(redis_server: RedisServer) -> None:
    """All permits die with their holders; when their leases are over there are permits again."""
    open_breaker(redis_server)
    crash_holders(redis_server, [2.5, 2.5, 2.5])
    assert count_held(redis_server) == RULES.permits
    assert wait_for_permit(redis_server) < 5
