"""Tests of `proxy/domain/usage.py`."""

from proxy.domain.usage import Usage


def test_the_total_counts_nothing_twice() -> None:
    """Cached and reasoning tokens are inside input and output: the total is these two."""
    usage = Usage(10, 20, cached_tokens=5, cache_write_tokens=1, reasoning_tokens=15)
    assert usage.total_tokens == 30
