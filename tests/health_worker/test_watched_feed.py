"""The files of a configuration as a health worker of its own follows them."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from health_worker import watched_feed
from health_worker.watched_feed import WatchedFeed
from proxy.config.load import LoadedConfig
from proxy.config.problem import ConfigError
from proxy.config.sources import list_watched
from proxy.domain.catalog import Snapshot
from proxy.domain.identity import KeyHasher
from tests.supervisor.places import Folder, build_file

pytestmark = pytest.mark.usefixtures("no_leaks")


class Followed:
    """A feed over a folder, and every configuration that it has told."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        watched = list_watched(folder.config, folder.path / "state")
        self.feed = WatchedFeed(folder.config, folder.environ, KeyHasher(b"x" * 32), watched)
        self.snapshots: list[Snapshot] = []
        self._news = asyncio.Event()

    def take(self, snapshot: Snapshot, *_: object) -> None:
        """Keep what is told."""
        self.snapshots.append(snapshot)
        self._news.set()

    async def wait_for_providers(self, *names: str) -> None:
        """Return once a configuration with these providers was told."""
        async with asyncio.timeout(20):
            while not self.snapshots or list(self.snapshots[-1].providers) != [*names]:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def following(path: Path) -> AsyncIterator[Followed]:
    """Follow a configuration that begins with one provider."""
    folder = Folder(path)
    folder.write(build_file("a"))
    followed = Followed(folder)
    await asyncio.to_thread(followed.feed.load)
    running = asyncio.create_task(followed.feed.run(followed.take))
    yield followed
    running.cancel()
    await asyncio.wait([running])


async def test_an_edit_is_told(tmp_path: Path) -> None:
    """What the files come to is told as soon as they have come to rest, under a higher number."""
    async with following(tmp_path) as followed:
        followed.folder.write(build_file("a", "b"))
        await followed.wait_for_providers("a", "b")
        assert followed.snapshots[-1].generation == 2


async def test_a_broken_edit_changes_nothing(tmp_path: Path) -> None:
    """Of files with a mistake nothing is told; the next good ones are."""
    async with following(tmp_path) as followed:
        followed.folder.write("providers: 1\n")
        await followed.feed.read_anew(followed.take)
        assert followed.snapshots == []
        followed.folder.write(build_file("c"))
        await followed.wait_for_providers("c")


async def test_a_fault_of_ours_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception while an edit is judged is logged, and the feed goes on."""

    def fail(*arguments: object, **options: object) -> LoadedConfig:
        raise RuntimeError("a fault of ours")

    async with following(tmp_path) as followed:
        with monkeypatch.context() as patch:
            patch.setattr(watched_feed, "load_config", fail)
            await followed.feed.read_anew(followed.take)
        assert followed.snapshots == []
        await followed.feed.read_anew(followed.take)
        await followed.wait_for_providers("a")


def test_a_start_over_broken_files_is_refused(tmp_path: Path) -> None:
    """The first configuration has to be good: every problem is in the error."""
    folder = Folder(tmp_path)
    folder.write("providers: 1\n")
    with pytest.raises(ConfigError, match="a list is needed"):
        Followed(folder).feed.load()


async def test_of_two_readings_at_once_the_later_one_is_told_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal during an edit's reading does not bring back what stood there before."""
    folder = Folder(tmp_path)
    folder.write(build_file("a"))
    followed = Followed(folder)
    real_load, second_is_told, calls = followed.feed.load, threading.Event(), count(1)

    def load() -> LoadedConfig:
        number, loaded = next(calls), real_load()
        folder.write(build_file("b"))
        if number == 1:
            # Held up; were the other one not made to wait, it would be told meanwhile.
            second_is_told.wait(0.2)
        return loaded

    def take(snapshot: Snapshot, *_: object) -> None:
        followed.take(snapshot)
        if "b" in snapshot.providers:
            second_is_told.set()

    monkeypatch.setattr(followed.feed, "load", load)
    await asyncio.gather(followed.feed.read_anew(take), followed.feed.read_anew(take))
    assert [[*each.providers] for each in followed.snapshots] == [["a"], ["b"]]
