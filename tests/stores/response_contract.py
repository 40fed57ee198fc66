"""What every ResponseStore promises."""

import pytest

from proxy.domain.stored_response import StoredResponse
from proxy.stores.base import ResponseStore

WHOLE = StoredResponse(
    "resp_1", model="m", input=b'[{"role":"user"}]', body=b'{"id":"resp_1"}', item_ids=("a", "b")
)
PIN = StoredResponse("resp_2", provider="openai", model="m", item_ids=("c",))


class ResponseContract:
    """To be inherited by the tests of a store, which give it as the fixture `responses`."""

    async def test_it_is_found_by_its_id_and_by_those_of_its_items(
        self, responses: ResponseStore
    ) -> None:
        """At once, whole, and as often as it is looked for."""
        for stored in (WHOLE, PIN):
            responses.keep("org", stored)
            for each in (stored.id, *stored.item_ids, stored.id):
                assert await responses.find("org", each) == stored

    async def test_nobody_else_finds_or_deletes_it(self, responses: ResponseStore) -> None:
        """Neither another organization nor by another id."""
        responses.keep("org", WHOLE)
        for each in (WHOLE.id, "a"):
            assert await responses.find("other", each) is None
        assert await responses.find("org", "resp_3") is None
        assert not await responses.delete("other", WHOLE.id)
        assert await responses.find("org", WHOLE.id) == WHOLE

    async def test_what_is_kept_later_counts(self, responses: ResponseStore) -> None:
        """The same id has what was kept under it last."""
        responses.keep("org", PIN)
        later = StoredResponse("resp_2", provider="openai", model="m", item_ids=("c", "d"))
        responses.keep("org", later)
        for each in ("resp_2", "c", "d"):
            assert await responses.find("org", each) == later

    async def test_what_is_deleted_is_gone_with_its_items(self, responses: ResponseStore) -> None:
        """Once; others stay. Nobody deletes by the id of an item."""
        responses.keep("org", WHOLE)
        responses.keep("org", PIN)
        assert not await responses.delete("org", "a")
        assert await responses.delete("org", WHOLE.id)
        assert not await responses.delete("org", WHOLE.id)
        for each in (WHOLE.id, "a", "b"):
            assert await responses.find("org", each) is None
        assert await responses.find("org", PIN.id) == PIN


@pytest.fixture
def responses() -> ResponseStore:
    """Return the store; tests of one define their own."""
    raise NotImplementedError
