"""The list of models, page by page, as Anthropic's clients read it."""

from typing import Any

import msgspec
import pytest

from proxy.domain.errors import InvalidRequest
from proxy.domain.identity import Caller
from proxy.server.model_page import HIGHEST_LIMIT, read_page
from tests.fakes.proxy_server import build_provider, build_snapshot

NAMES = tuple(f"m{number:02}" for number in range(45))
SNAPSHOT = build_snapshot(build_provider("http://a.test", models=NAMES))
ANY = Caller("k")


async def page(caller: Caller = ANY, **query: str) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.json.decode(await read_page(SNAPSHOT, caller, query))
    return body


async def test_a_page_has_twenty_models_and_says_that_there_are_more() -> None:
    """Without a limit it is 20; first and last id, and each model in Anthropic's shape."""
    body = await page()
    assert [each["id"] for each in body["data"]] == list(NAMES[:20])
    assert (body["has_more"], body["first_id"], body["last_id"]) == (True, "m00", "m19")
    assert body["data"][0] == {
        "type": "model",
        "id": "m00",
        "display_name": "m00",
        "created_at": "2023-11-14T22:13:20Z",
    }


async def test_pages_put_together_are_the_whole_list() -> None:
    """Who goes on behind `last_id` until there is no more sees each model once; so backwards."""
    seen: list[str] = []
    body: dict[str, Any] = {"has_more": True, "last_id": ""}
    while body["has_more"]:
        body = await page(limit="7", after_id=body["last_id"])
        seen += [each["id"] for each in body["data"]]
    assert seen == list(NAMES)
    body = await page(limit="20", before_id="m44")
    assert ([each["id"] for each in body["data"]], body["has_more"]) == (list(NAMES[24:44]), True)
    body = await page(limit="20", before_id="m03")
    assert [each["id"] for each in body["data"]] == ["m00", "m01", "m02"]
    assert not body["has_more"]


async def test_an_empty_page_has_no_ids() -> None:
    """Behind the last model there is nothing, and for a key without models too."""
    for body in (await page(after_id="m44"), await page(Caller("k", models=frozenset()))):
        assert body == {"data": [], "has_more": False, "first_id": None, "last_id": None}


async def test_a_key_sees_its_own_models_only() -> None:
    """Names of the key's, also as `provider/model`; others are no ids to page by."""
    caller = Caller("k", models=frozenset(("m03", "up/m07")))
    assert [each["id"] for each in (await page(caller))["data"]] == ["m03", "up/m07"]
    with pytest.raises(InvalidRequest):
        await page(caller, after_id="m04")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": str(HIGHEST_LIMIT + 1)}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": ""}, "limit"),
        ({"after_id": "none"}, "after_id"),
        ({"before_id": "none"}, "before_id"),
        ({"before_id": "m01", "after_id": "m02"}, "before_id"),
    ],
)
async def test_a_page_that_is_none_is_refused(query: dict[str, str], param: str) -> None:
    """The error names the field of the query."""
    with pytest.raises(InvalidRequest) as refusal:
        await page(ANY, **query)
    assert refusal.value.param == param
