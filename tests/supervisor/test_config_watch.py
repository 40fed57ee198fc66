"""An edit is judged by itself; one that was judged on request is not judged again."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from proxy.config.sources import list_watched
from proxy.supervisor.accepted import Accepted
from proxy.supervisor.config_watch import watch_config
from proxy.supervisor.live_config import LiveConfig, ReloadResult
from proxy.supervisor.startup import load_first
from tests.supervisor.places import Folder, build_file

pytestmark = pytest.mark.usefixtures("no_leaks")


class Watched:
    """A configuration that is watched, and the reloads that there were."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.results: list[ReloadResult] = []
        self._news = asyncio.Condition()
        place = folder.find()
        first = load_first(place)
        self.live = LiveConfig(place, first, first.accepted.install, self._take)

    async def _take(self, result: ReloadResult, accepted: Accepted | None) -> None:
        async with self._news:
            self.results.append(result)
            self._news.notify_all()

    async def wait_for(self, count: int) -> list[ReloadResult]:
        """Return the results as soon as there are so many."""
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: len(self.results) >= count)
        return self.results


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """A configuration with two providers, live and watched."""
    folder = Folder(tmp_path)
    folder.write(build_file("a", "b"))
    watched = Watched(folder)
    paths = list_watched(folder.config, folder.find().state_dir)
    tasks = [
        asyncio.create_task(watched.live.run()),
        asyncio.create_task(watch_config(paths, watched.live)),
    ]
    yield watched
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_an_edit_is_judged_and_named(watched: Watched) -> None:
    """The cause names the file, also of one that lies beside the configuration."""
    watched.folder.write(build_file("a", "b", "c"))
    [first] = await watched.wait_for(1)
    assert (first.result, first.cause) == ("applied", "edit of config.yaml")
    (watched.folder.path / ".env").write_text("PROXY_API_REQUEST_TIMEOUT=20\n")
    _, second = await watched.wait_for(2)
    assert (second.result, second.cause) == ("applied", "edit of .env")


async def test_what_was_judged_on_request_is_not_judged_again(watched: Watched) -> None:
    """A command that has an edit read at once leaves nothing to do for the watch."""
    watched.folder.write(build_file("a", "b", "c"))
    await watched.live.reload("a command")
    watched.folder.write(build_file("a", "b", "c", "d"))
    results = await watched.wait_for(2)
    assert [result.cause for result in results] == ["a command", "edit of config.yaml"]


async def test_what_is_found_comes_into_force_and_goes_on(watched: Watched) -> None:
    """A search's result is an edit like any other; a broken file of it takes nothing away."""
    url = "https://registry.example/list.json"
    watched.folder.write(build_file("a", "b", provider_registry_url=url))
    await watched.wait_for(1)
    found = [
        {
            "name": f"found-{number}",
            "type": "openai_compatible",
            "base_url": f"https://{number}.example/v1",
            "models": ["m"],
            "found_by": "registry",
            "found_at": 1.0,
        }
        for number in range(9)
    ]
    path = watched.folder.find().state_dir / "discovered.json"
    path.write_text(json.dumps({"providers": found}))
    second = (await watched.wait_for(2))[1]
    assert (second.result, second.cause) == ("applied", "edit of discovered.json")
    assert len(watched.live.accepted.snapshot.providers) == 11
    with structlog.testing.capture_logs() as lines:
        path.write_text("{")
        third = (await watched.wait_for(3))[2]
    assert third.result == "unchanged"
    told = [line["event"] for line in lines if line["log_level"] == "warning"]
    assert any("cannot be read; what it held before goes on" in text for text in told)
    # Found ones are no part of what the guard counts: neither hidden by them nor refused for them.
    path.write_text(json.dumps({"providers": found[:1]}))
    fourth = (await watched.wait_for(4))[3]
    assert fourth.result == "applied"
    assert len(watched.live.accepted.snapshot.providers) == 3
    watched.folder.write(build_file(provider_registry_url=url))
    fifth = (await watched.wait_for(5))[4]
    assert fifth.result == "guarded"
