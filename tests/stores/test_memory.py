"""Limits in memory: each key for itself, forgotten when that gives nobody more."""

from proxy.domain.settings import RateLimit
from proxy.stores.memory import FEWEST_KEPT, MemoryRateStore

LIMIT = RateLimit(2, 10.0)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def read(self) -> float:
        """Return the time it was set to."""
        return self.now_s


async def take(store: MemoryRateStore, *keys: str) -> list[bool]:
    """Return which of the requests of these keys were admitted."""
    return [(await store.take(key, LIMIT)).is_admitted for key in keys]


async def test_keys_do_not_share_a_limit() -> None:
    """What one key uses is not missing to another, also of the same organization."""
    store = MemoryRateStore(Clock().read)
    assert await take(store, "o:a", "o:a", "o:a", "o:b", "p:a") == [True, True, False, True, True]


async def test_time_gives_back_what_was_used() -> None:
    """The store's own clock decides when a refused key is admitted again."""
    clock = Clock()
    store = MemoryRateStore(clock.read)
    assert await take(store, "a", "a", "a") == [True, True, False]
    clock.now_s += 5.0
    assert await take(store, "a", "a") == [True, False]


async def test_idle_keys_are_forgotten() -> None:
    """However many keys come, the store never holds more than twice those that are in use."""
    clock = Clock()
    store = MemoryRateStore(clock.read)
    most = 0
    for number in range(20 * FEWEST_KEPT):
        clock.now_s += 0.01
        await store.take(f"key {number}", LIMIT)
        most = max(most, len(store))
    in_use = 5.0 / 0.01
    assert most <= max(FEWEST_KEPT, 2 * in_use)


async def test_forgetting_gives_nobody_more() -> None:
    """A key that has used its limit stays refused, whatever crowd of others comes by."""
    clock = Clock()
    store = MemoryRateStore(clock.read)
    assert await take(store, "a", "a", "a") == [True, True, False]
    clock.now_s += 4.0
    for number in range(5 * FEWEST_KEPT):
        await store.take(f"key {number}", LIMIT)
    assert await take(store, "a") == [False]
    clock.now_s += 1.0
    assert await take(store, "a", "a") == [True, False]


async def test_one_of_several_processes_admits_its_share() -> None:
    """Of four requests one of two processes admits two; what comes back is shared as well."""
    clock = Clock()
    store = MemoryRateStore(clock.read, processes=2)
    limit = RateLimit(4, 10.0)
    taken = [await store.take("a", limit) for _ in range(3)]
    assert [decision.is_admitted for decision in taken] == [True, True, False]
    clock.now_s += 5.0
    assert (await store.take("a", limit)).is_admitted
    assert not (await store.take("a", limit)).is_admitted
