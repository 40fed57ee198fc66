"""Reloads: what each comes to, what is told, and that many at once are few."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.config.load import LoadedConfig
from proxy.config.watcher import SETTLE_S
from proxy.supervisor import startup as startup_module
from proxy.supervisor.accepted import Accepted
from proxy.supervisor.live_config import LiveConfig, ReloadResult
from proxy.supervisor.startup import Place, load_first
from tests.canaries import PROVIDER_KEY
from tests.supervisor.places import Folder, build_file

pytestmark = pytest.mark.usefixtures("no_leaks")


class Living:
    """A live configuration in a folder, with everything that it has told."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.place = folder.find()
        self.told: list[tuple[ReloadResult, Accepted | None]] = []
        first = load_first(self.place)
        self.live = LiveConfig(self.place, first, first.accepted.install, self._take)

    async def _take(self, result: ReloadResult, accepted: Accepted | None) -> None:
        self.told.append((result, accepted))

    async def edit(self, config: object, **how: bool) -> ReloadResult:
        """Write a configuration and have it read."""
        self.folder.write(config)  # type: ignore[arg-type]
        return await self.live.reload("a test", is_edit=True, **how)


@pytest.fixture
async def living(tmp_path: Path) -> AsyncIterator[Living]:
    """Four providers, and the loop that reads them anew."""
    folder = Folder(tmp_path)
    folder.write(build_file("a", "b", "c", "d"))
    living = Living(folder)
    running = asyncio.create_task(living.live.run())
    yield living
    running.cancel()
    await asyncio.wait([running])


async def test_a_change_is_applied_and_named(living: Living) -> None:
    """A good edit is the next generation, told with its words, and kept with its cause."""
    result = await living.edit(build_file("a", "b", "c", "d", request_timeout=20))
    assert (result.result, result.generation) == ("applied", 2)
    assert result.changes == ("request_timeout: 300 -> 20",)
    [(told, accepted)] = living.told
    assert told == result
    assert accepted is not None
    assert accepted.snapshot.settings.request_timeout_s == 20
    assert living.live.accepted is accepted
    newest, _ = living.place.history.list()
    assert (newest.generation, newest.cause, newest.changes) == (2, "a test", result.changes)


async def test_what_comes_to_the_same_changes_nothing(living: Living) -> None:
    """A comment, another order of keys: no new generation, no entry, nothing to publish."""
    text = living.folder.config.read_text()
    result = await living.edit(text + "\n# a comment\n")
    assert (result.result, result.generation) == ("unchanged", 1)
    assert living.told == [(result, None)]
    assert len(living.place.history.list()) == 1


async def test_a_mistake_is_refused_in_the_words_of_check(living: Living) -> None:
    """The last good one stays, the status holds every problem, and a good file clears it."""
    result = await living.edit("providers: 7\nworkres: 2\n")
    assert (result.result, result.generation) == ("rejected", 1)
    assert len(result.problems) == 2
    assert living.live.status.last_error == "\n".join(result.problems)
    assert living.live.status.problem_count == 2
    assert living.told == [(result, None)]
    assert (await living.edit(build_file("a", "b", "c", "d"))).result == "unchanged"
    assert living.live.status.last_error is None


async def test_the_guard_holds_back_what_has_lost_much(living: Living) -> None:
    """One of four providers is too few; said once that it is meant, it passes, this once."""
    result = await living.edit(build_file("a"))
    assert result.result == "guarded"
    assert "only 1 of the 4 providers in service is left" in result.problems[0]
    allowed = await living.live.reload("meant", allow_shrink=True)
    assert (allowed.result, allowed.generation) == ("applied", 2)
    assert (await living.edit(build_file())).result == "guarded"


async def test_a_marker_is_remembered_from_then_on(living: Living) -> None:
    """Adding `end_of_config` is a change of its own; after it a file without it is refused."""
    marked = build_file("a", "b", "c", "d", end_of_config=True)
    assert (await living.edit(marked)).result == "applied"
    assert (await living.edit(build_file("a", "b", "c", "d", "e"))).result == "guarded"


async def test_what_needs_a_restart_is_told_and_not_half_applied(living: Living) -> None:
    """A new port changes nothing now; the rest of the same edit is in force."""
    config = build_file("a", "b", "c", "d", port=8123, request_timeout=20)
    result = await living.edit(config)
    assert result.result == "applied"
    assert result.needs_restart == ("port: 8000 -> 8123",)
    assert living.live.status.needs_restart == result.needs_restart
    back = await living.edit(build_file("a", "b", "c", "d", request_timeout=20))
    assert back.needs_restart == ()


async def test_many_wishes_are_two_reloads(living: Living) -> None:
    """A hundred at once share one reload; those that come while it runs share the next."""
    wishes = [asyncio.create_task(living.live.reload(f"wish {n}")) for n in range(100)]
    await asyncio.gather(*wishes)
    for _ in range(100):
        living.live.request("SIGHUP")
    await living.live.reload("the last")
    assert len(living.told) <= 3


async def test_a_rotated_key_is_a_change_without_its_value(living: Living) -> None:
    """The words say whose key has changed, and hold neither the old one nor the new one."""
    config = build_file("a", "b", "c", "d")
    config["providers"][0]["api_key"] = PROVIDER_KEY
    await living.edit(config)
    config["providers"][0]["api_key"] = PROVIDER_KEY + "-new"
    result = await living.edit(config)
    assert result.changes == ("provider a: api_key changed",)
    assert PROVIDER_KEY not in str(result)


async def test_a_full_disk_does_not_hold_up_a_change(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the history cannot be written the change is in force all the same."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(living.place.history, "add", fail)
    result = await living.edit(build_file("a", "b", "c", "d", request_timeout=20))
    assert result.result == "applied"
    assert living.told[0][1] is not None


async def test_a_file_that_is_being_written_is_waited_for(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for while somebody writes, a reload takes the file when it has come to rest."""
    whole = json.dumps(build_file("a", "b", "c", "d", "e"), indent=1)
    living.folder.write(json.dumps(build_file("a", "b", "c", "d"), indent=1)[:-40])
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds == SETTLE_S:
            living.folder.write(whole)
        await real_sleep(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    result = await living.live.reload("a script")
    assert (result.result, result.changes) == ("applied", ("provider e added (1 model)",))


async def test_a_file_that_changes_while_it_is_read_is_read_again(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is judged is one state of the files, not a mixture of two."""
    loads: list[int] = []
    real_load = Place.load

    def load(place: Place, *arguments: Any) -> LoadedConfig:
        loads.append(1)
        loaded = real_load(place, *arguments)
        if len(loads) == 1:
            living.folder.write(build_file("a", "b", "c", "d", "e"))
        return loaded

    monkeypatch.setattr(Place, "load", load)
    result = await living.edit(build_file("a", "b", "c"))
    assert (len(loads), result.changes) == (2, ("provider e added (1 model)",))


async def test_a_fault_of_ours_refuses_the_file_and_ends_nothing(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised while a file is judged, the last good configuration stays in force."""

    def fail(*_: object, **__: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(startup_module, "load_config", fail)
    result = await living.edit(build_file("a", "b"))
    assert result.result == "rejected"
    assert "could not be judged (KeyError)" in result.problems[0]


async def test_who_waits_at_the_end_is_let_go(living: Living) -> None:
    """Once the server ends nobody waits for a reload that will not come."""
    waiting = asyncio.create_task(living.live.reload("late"))
    await asyncio.sleep(0)
    living.live.stop()
    with pytest.raises(asyncio.CancelledError):
        await waiting
