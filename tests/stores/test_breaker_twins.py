"""The machine in Redis is the one in Python: after every step they hold the same."""

import redis
from hypothesis.stateful import run_state_machine_as_test

from tests.fakes.redis_server import RedisServer
from tests.stores.twins import build_settings, build_state_machine

FEWEST_STEPS = 2000


def test_both_hold_the_same_after_every_step(redis_server: RedisServer) -> None:
    """Thousands of steps of every kind, clocks set back and rules edited between them."""
    counted: list[int] = []
    with redis.Redis(unix_socket_path=str(redis_server.path), protocol=2) as client:
        run_state_machine_as_test(
            build_state_machine(client, counted),
            settings=build_settings(120, derandomize=False),
        )
    assert sum(counted) >= FEWEST_STEPS
