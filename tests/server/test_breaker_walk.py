"""Which breakers there are, and that looking at many of them holds nobody up."""

import asyncio

import msgspec
import pytest

from proxy.server.breaker_walk import BreakerWalk
from proxy.server.state import ServerState, StillDesk
from tests.fakes.proxy_server import build_board, build_provider, build_runtime, build_status
from tests.server.administration import build_catalog

LISTED = ["host:up", "key:up", "up/m", "up/org/m:free"]
CATALOG = build_catalog()


def open_walk() -> tuple[BreakerWalk, ServerState]:
    """Return a walk over breakers that open after 5 failures, and what it stands in."""
    runtime = build_runtime(CATALOG, board=build_board())
    state = ServerState(runtime, StillDesk(build_status()), lambda: (b"", ""))
    return state.breakers, state


@pytest.mark.parametrize(
    ("target", "ids"),
    [
        ("up", LISTED),
        ("any", ["host:any", "key:any", "any/routed", "any/*"]),
        ("up/m", ["up/m"]),
        ("key:up", ["key:up"]),
        ("*", [*LISTED, "host:any", "key:any", "any/routed", "any/*"]),
    ],
)
async def test_a_target_names_its_breakers(target: str, ids: list[str]) -> None:
    """Host, key, and what is listed; of a provider that takes any model what routes name."""
    walk, _ = open_walk()
    assert [each async for each in walk.list_ids(CATALOG, target)] == ids


async def test_what_was_asked_for_at_a_provider_of_any_model_is_one() -> None:
    """All models that only clients name have one breaker; what an operator has named is there."""
    walk, state = open_walk()
    group = CATALOG.find_group("any/named")
    assert group is not None
    state.runtime.board.find_place(group.deployments[0])
    for _ in range(5):
        state.runtime.board.breakers.report("any/ill", "fail")
    ids = [each async for each in walk.list_ids(CATALOG, "any")]
    assert ids == ["host:any", "key:any", "any/routed", "any/ill", "any/*"]


async def test_only_some_are_notable() -> None:
    """Those that are not closed, and those whose last attempt has failed."""
    walk, state = open_walk()
    breakers = state.runtime.board.breakers
    breakers.report("up/m", "fail")
    breakers.report("key:up", "hold", hold_s=60.0, cause="auth")
    breakers.report("up/org/m:free", "fail")
    breakers.report("up/org/m:free", "ok")
    assert [each async for each in walk.list_notable(CATALOG)] == ["key:up", "up/m"]


async def test_an_order_for_a_provider_goes_to_all_of_its_own() -> None:
    """Each of its breakers is forced open, and each is reset again; others stay as they are."""
    walk, state = open_walk()
    breakers = state.runtime.board.breakers
    breakers.report("any/routed", "fail")
    assert await walk.carry_out(CATALOG, "up", "open") is False
    assert [breakers.look(each).state for each in LISTED] == ["forced_open"] * 4
    await walk.carry_out(CATALOG, "up", "reset")
    assert [breakers.look(each).state for each in LISTED] == ["closed"] * 4
    assert breakers.look("any/routed").failures == 1
    await walk.carry_out(CATALOG, "*", "reset")
    assert breakers.look("any/routed").failures == 0


async def test_a_large_catalog_holds_nobody_up() -> None:
    """Others get many turns while ten thousand breakers are listed, and as many are read."""
    names = tuple(f"m{n}" for n in range(10_000))
    provider = build_provider("http://127.0.0.1:1/v1", models=names)
    large = msgspec.structs.replace(CATALOG, providers={"up": provider})
    walk, _ = open_walk()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    ids = [each async for each in walk.list_ids(large)]
    while_listing = turns
    reports = await walk.read(ids)
    counting.cancel()
    assert len(ids) == len(reports) == 10_002
    assert while_listing >= 20
    assert turns - while_listing >= 50
