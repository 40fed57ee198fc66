"""Answers of the Responses API in the memory of one process."""

import pytest

from proxy.domain.stored_response import StoredResponse
from proxy.stores.base import ResponseStore
from proxy.stores.memory_responses import LARGEST_SHARE, MemoryResponses
from tests.stores.response_contract import WHOLE, ResponseContract


class Clock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def read(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def responses() -> ResponseStore:
    """Return an empty one."""
    return MemoryResponses()


class TestMemoryResponses(ResponseContract):
    """It keeps what every store promises."""


def build(response_id: str, size: int = 1000) -> StoredResponse:
    return StoredResponse(response_id, body=b"x" * size)


async def list_kept(store: MemoryResponses, owner: str, ids: str) -> str:
    """Return which of these ids are still known, each a letter."""
    return "".join([each for each in ids if await store.find(owner, each) is not None])


async def test_it_is_gone_after_its_time() -> None:
    """Neither found nor deleted, and it takes no room."""
    clock = Clock()
    store = MemoryResponses(60.0, 1 << 20, clock.read)
    store.keep("org", WHOLE)
    clock.now_s += 59
    store.keep("org", build("b"))
    assert await store.find("org", "resp_1") == WHOLE
    clock.now_s += 1
    assert await store.find("org", "resp_1") is None
    assert not await store.delete("org", "resp_1")
    assert store.size_bytes == build("b").size_bytes
    clock.now_s += 60
    store.keep("other", build("c"))
    assert store.size_bytes == build("c").size_bytes


async def test_the_oldest_of_who_has_most_goes_when_there_is_too_much() -> None:
    """Who keeps little loses nothing to who keeps much."""
    store = MemoryResponses(60.0, LARGEST_SHARE * build("a").size_bytes)
    store.keep("small", build("a"))
    for each in "abcdefghij":
        store.keep("large", build(each))
    assert await list_kept(store, "small", "a") == "a"
    assert await list_kept(store, "large", "abcdefghij") == "defghij"
    assert store.size_bytes == LARGEST_SHARE * build("a").size_bytes


async def test_what_has_just_come_stays_though_it_alone_is_the_longest() -> None:
    """Of many who have little the oldest go; who has one long conversation can go on with it."""
    small = build("a").size_bytes
    store = MemoryResponses(60.0, 40 * small)
    for number in range(40):
        store.keep(f"org_{number}", build("a"))
    long = StoredResponse("long", input=b"x" * (4 * small - 256), body=b"")
    store.keep("org", long)
    assert await store.find("org", "long") == long
    found = [await store.find(f"org_{number}", "a") for number in range(40)]
    assert found.count(None) == 4
    assert store.size_bytes == 40 * small


async def test_what_is_too_large_by_itself_is_not_kept() -> None:
    """It is no error, drives nothing out, and counts for nothing afterwards."""
    store = MemoryResponses(60.0, LARGEST_SHARE * 2000)
    store.keep("org", build("a"))
    store.keep("org", build("b", 2000))
    assert await list_kept(store, "org", "ab") == "a"
    assert await store.delete("org", "a")
    assert store.size_bytes == 0


async def test_an_item_leads_to_whose_it_was_last() -> None:
    """Two responses may have an item of the same id; without the later one it leads nowhere."""
    store = MemoryResponses()
    first, second = (StoredResponse(each, item_ids=("i",)) for each in ("a", "b"))
    store.keep("org", first)
    store.keep("org", second)
    assert await store.find("org", "i") == second
    assert await store.delete("org", "a")
    assert await store.find("org", "i") == second
    assert await store.delete("org", "b")
    assert await store.find("org", "i") is None


async def test_what_is_too_old_is_not_found_whether_it_was_looked_for_or_not() -> None:
    """Of those who ask no more it is dropped now and then, and not at each answer of others."""
    clock = Clock()
    store = MemoryResponses(160.0, 1 << 20, clock.read)
    store.keep("silent", build("a"))
    clock.now_s += 155
    store.keep("org", build("b"))
    clock.now_s += 5
    store.keep("org", build("c"))
    assert store.size_bytes == 3 * build("a").size_bytes
    assert await store.find("silent", "a") is None
    assert store.size_bytes == 2 * build("a").size_bytes
