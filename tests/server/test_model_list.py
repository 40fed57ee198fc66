"""The list of models is built once for each snapshot, and in small pieces."""

import asyncio
import time

import msgspec

from proxy.domain.catalog import Snapshot
from proxy.domain.identity import Caller
from proxy.server.model_list import ModelList
from tests.fakes.proxy_server import build_provider, build_snapshot

ANYBODY = Caller("key_any")


def build_catalog(count: int, generation: int = 1) -> Snapshot:
    """Return a snapshot with so many models at one provider."""
    models = tuple(f"model-{number}" for number in range(count))
    snapshot = build_snapshot(build_provider("http://a.test/v1", models=models))
    return msgspec.structs.replace(snapshot, generation=generation)


async def test_all_callers_get_the_same_bytes() -> None:
    """The second caller of a snapshot gets the very body of the first, however many ask at once."""
    models = ModelList()
    snapshot = build_catalog(2000)
    first, second = await asyncio.gather(*(models.read(snapshot, ANYBODY) for _ in range(2)))
    assert first is second
    assert len(msgspec.json.decode(first)["data"]) == 2000


async def test_a_new_snapshot_has_a_list_of_its_own() -> None:
    """What was served before is not shown any more, also while both are asked for."""
    models = ModelList()
    old, new = build_catalog(1500, generation=1), build_catalog(3, generation=2)
    bodies = await asyncio.gather(*(models.read(which, ANYBODY) for which in (old, new, old)))
    assert [len(msgspec.json.decode(body)["data"]) for body in bodies] == [1500, 3, 1500]


async def test_a_key_with_names_of_its_own_costs_only_those() -> None:
    """Its list is made of its names alone, whatever else there is."""
    own = Caller("key_few", models=frozenset(("model-7", "model-3", "up/model-5", "nothing")))
    body = await ModelList().read(build_catalog(100), own)
    names = [model["id"] for model in msgspec.json.decode(body)["data"]]
    assert names == ["model-3", "model-7", "up/model-5"]


async def test_building_a_large_list_lets_others_run() -> None:
    """While 10,000 models are listed the loop is never held up for long."""
    longest_s = 0.0
    building = asyncio.ensure_future(ModelList().read(build_catalog(10_000), ANYBODY))
    turns = 0
    while not building.done():
        began_s = time.process_time()
        await asyncio.sleep(0)
        longest_s = max(longest_s, time.process_time() - began_s)
        turns += 1
    assert turns > 10
    assert longest_s < 0.05  # ten times what is promised
