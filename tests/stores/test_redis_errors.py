"""The errors of a link: one to catch, and that is all a caller has to know."""

import pytest

from proxy.stores import redis_errors
from proxy.stores.redis_errors import RedisUnavailable


@pytest.mark.parametrize("name", ["RedisAway", "RedisTimeout", "RedisBusy", "RedisRefused"])
def test_one_error_stands_for_all(name: str) -> None:
    """Whoever catches RedisUnavailable has caught each of the others."""
    assert issubclass(getattr(redis_errors, name), RedisUnavailable)
