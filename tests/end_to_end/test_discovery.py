"""Discovery inside the service: found, served, kept through outages and restarts."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.end_to_end.live import LiveProxy, build_live_config, living
from tests.end_to_end.served import KEY
from tests.fakes.model_servers import serving_models
from tests.fakes.ports import find_port
from tests.fakes.registry import FakeRegistry, open_registry

WITHIN_S = 30.0
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def build(registry: FakeRegistry) -> dict[str, Any]:
    """Return a configuration that has nothing but the simulator, and a registry to ask."""
    return build_live_config(
        provider_registry_url=registry.url,
        discovery={"private_networks": ["127.0.0.0/8"]},
        health_worker={"listen": f"127.0.0.1:{find_port()}"},
    )


async def wait_for_models(live: LiveProxy, is_so: Callable[[list[str]], bool]) -> None:
    """Return once the names that clients can ask for are so."""
    try:
        async with asyncio.timeout(WITHIN_S):
            while not is_so(await live.list_models()):
                pass
    except TimeoutError:
        raise AssertionError(live.program.output) from None


async def check_served(live: LiveProxy) -> None:
    """Hold a request for the found provider's model to its answer."""
    status, body = await live.post("/v1/chat/completions", CHAT, KEY)
    assert (status, body["choices"][0]["message"]["content"]) == (200, "found says hello")


async def test_what_a_registry_names_is_served_and_kept(tmp_path: Path) -> None:
    """It serves while the registry is away and over a restart, until the registry drops it."""
    async with open_registry() as registry:
        with serving_models() as servers:
            url = f"http://127.0.0.1:{servers.port}/found/v1"
            registry.list = [{"name": "found", "base_url": url}]
            config = build(registry)
            with living(tmp_path, config) as live:
                await wait_for_models(live, lambda names: "m" in names)
                await check_served(live)
                registry.status = 503
                status, body = await live.post("/discover")
                assert status == 200
                problems = {"registry": "it answers with status 503"}
                assert body["discovery"] == {
                    "found": 1, "added": [], "removed": [], "problems": problems
                }  # fmt: skip
                await check_served(live)
            with living(tmp_path, config) as live:
                await check_served(live)
                registry.status, registry.list = 200, []
                await wait_for_models(live, lambda names: "m" not in names)
