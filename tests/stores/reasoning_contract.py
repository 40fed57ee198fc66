"""What every ReasoningStore promises."""

import pytest
from msgspec import Raw

from proxy.domain.chat import Thought
from proxy.domain.reasoning import KeptReasoning
from proxy.stores.base import ReasoningStore

THOUGHTS = (
    Thought("why \u2013 so", "anthropic", "sig", extra=Raw(b'{"a": 1}')),
    Thought("", "anthropic", "dark", is_redacted=True),
)
KEPT = KeptReasoning("anthropic", THOUGHTS, {"a": "s"}, ("a", "b"))


class ReasoningContract:
    """To be inherited by the tests of a store, which give it as the fixture `store`."""

    async def test_it_is_found_by_each_of_its_calls(self, store: ReasoningStore) -> None:
        """At once, and as often as it is looked for."""
        store.keep("org", KEPT)
        for call_id in ("a", "b", "a"):
            assert store.find("org", "anthropic", call_id) == KEPT

    async def test_nobody_else_finds_it(self, store: ReasoningStore) -> None:
        """Neither another organization, nor for another maker, nor by another call."""
        store.keep("org", KEPT)
        assert store.find("other", "anthropic", "a") is None
        assert store.find("org", "gemini", "a") is None
        assert store.find("org", "anthropic", "c") is None

    async def test_what_is_kept_later_counts(self, store: ReasoningStore) -> None:
        """The same call has what was kept for it last."""
        store.keep("org", KEPT)
        later = KeptReasoning("anthropic", THOUGHTS[:1], {}, ("a",))
        store.keep("org", later)
        assert store.find("org", "anthropic", "a") == later
        assert store.find("org", "anthropic", "b") == KEPT

    async def test_nobody_has_what_was_never_kept(self, store: ReasoningStore) -> None:
        """Others are asked in vain, and that is no error."""
        assert await store.fetch("org", "anthropic", ("none",)) == {}
        assert await store.fetch("org", "anthropic", ()) == {}


@pytest.fixture
def store() -> ReasoningStore:
    """Return the store; tests of one define their own."""
    raise NotImplementedError
