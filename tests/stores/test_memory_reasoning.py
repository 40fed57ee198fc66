"""Reasoning in the memory of one process."""

import pytest

from proxy.domain.chat import Thought
from proxy.domain.reasoning import KeptReasoning
from proxy.stores.base import ReasoningStore
from proxy.stores.memory_reasoning import MemoryReasoning
from tests.stores.reasoning_contract import ReasoningContract


@pytest.fixture
def store() -> ReasoningStore:
    """Return an empty one."""
    return MemoryReasoning()


class TestMemoryReasoning(ReasoningContract):
    """It keeps what every store promises."""


def build(call_id: str, size: int = 1000) -> KeptReasoning:
    return KeptReasoning("openai", (Thought("x" * size, "openai"),), {}, (call_id,))


def test_the_oldest_goes_when_there_is_too_much() -> None:
    """What was kept or looked for the longest ago is forgotten first."""
    store = MemoryReasoning(most_bytes=3 * build("a").size_bytes)
    for call_id in "abc":
        store.keep("org", build(call_id))
    assert store.find("org", "openai", "a") is not None
    store.keep("org", build("d"))
    assert [store.find("org", "openai", each) is not None for each in "abcd"] == [
        *(True, False, True, True)
    ]


def test_what_is_larger_than_all_is_not_kept() -> None:
    """It is no error, and counts for nothing afterwards."""
    store = MemoryReasoning(most_bytes=2000)
    store.keep("org", build("a", 5000))
    assert len(store) == 0
    for _ in range(10):
        store.keep("org", build("b"))
    assert len(store) == 1
    assert not store.is_shared
