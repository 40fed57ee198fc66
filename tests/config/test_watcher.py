"""Changes of files are found however they were made, and acted on once they have come to rest."""

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import watchfiles
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from proxy.config import watcher
from proxy.config.sources import MAX_FILE_BYTES
from proxy.config.watcher import FileState, FileWatch, Look, Settler, watch_files

NOW_AT = 2_000_000_000.0
NEVER_S = 50.0
"""A poll so late that a test would end before it."""

A: Look = (FileState("file", "a"),)
B: Look = (FileState("file", "b"),)
C: Look = (FileState("file", "c"),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file whose times lie far in the past."""
    path = tmp_path / "config.yaml"
    write(path, b"port: 1")
    return path


def write(path: Path, data: bytes, at: float = 1000.0) -> None:
    """Write a file as if that had been at some time."""
    path.write_bytes(data)
    os.utime(path, (at, at))


def watch_later(*paths: Path) -> FileWatch:
    """Return a watch whose clock is so late that no file is young."""
    return FileWatch(paths, lambda: NOW_AT * 2)


class TestFileWatch:
    """What one look sees."""

    def test_content_is_what_counts(self, path: Path) -> None:
        """The same bytes give equal looks, also after a touch; other bytes of the same size not."""
        watch = watch_later(path)
        first = watch.look()
        os.utime(path, (2000.0, 2000.0))
        assert watch.look() == first
        write(path, b"port: 2")
        assert watch.look() != first

    def test_a_file_is_not_read_again_without_a_reason(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While neither metadata nor the file's youth give a reason, a look only asks for them."""
        reads = []
        real = watcher._hash

        def count(descriptor: int) -> str:
            reads.append(descriptor)
            return real(descriptor)

        monkeypatch.setattr(watcher, "_hash", count)
        watch = watch_later(path)
        assert watch.look() == watch.look()
        assert len(reads) == 1
        young = FileWatch([path], lambda: path.stat().st_ctime + 1.0)
        assert young.look() == young.look()
        assert len(reads) == 3

    def test_what_is_no_readable_file_is_a_state_of_its_own(self, path: Path) -> None:
        """Missing, a directory, a FIFO and a loop are told apart from a file."""
        watch = watch_later(path)
        states = [watch.look()]
        path.unlink()
        states.append(watch.look())
        path.mkdir()
        states.append(watch.look())
        path.rmdir()
        path.symlink_to(path)
        states.append(watch.look())
        assert [look[0].kind for look in states] == ["file", "missing", "no file", "unreadable"]
        path.unlink()
        os.mkfifo(path)
        assert watch.look()[0].kind == "no file"

    def test_a_large_file_is_not_read_whole(self, path: Path) -> None:
        """A file above 8 MiB is only known to be too large."""
        with path.open("wb") as file:
            file.truncate(MAX_FILE_BYTES + 1)
        look = watch_later(path).look()
        assert (look[0].kind, look[0].digest) == ("too large", "")

    def test_rights_are_seen(self, path: Path) -> None:
        """A file that is refused for its rights, and then is not, has changed."""
        watch = watch_later(path)
        first = watch.look()
        path.chmod(0o666)
        assert watch.look() != first

    def test_links_are_followed_anew(self, path: Path) -> None:
        """A link that leads to another file, or through another directory, is a change."""
        root = path.parent
        for name in ("v1", "v2"):
            (root / name).mkdir()
            write(root / name / "config.yaml", name.encode())
        (root / "..data").symlink_to("v1")
        link = root / "linked.yaml"
        link.symlink_to("..data/config.yaml")
        watch = watch_later(link)
        first = watch.look()
        assert {Path(name) for name, _, _ in watch.find_directories()} == {root, root / "v1"}
        (root / "new").symlink_to("v2")
        (root / "new").rename(root / "..data")
        assert watch.look() != first
        assert {Path(name) for name, _, _ in watch.find_directories()} == {root, root / "v2"}

    def test_a_directory_that_was_replaced_is_another(self, tmp_path: Path) -> None:
        """Directories are told apart by more than their names; one that is gone is left out."""
        folder = tmp_path / "conf"
        watch = FileWatch([folder / "config.yaml"])
        assert watch.find_directories() == frozenset()
        folder.mkdir()
        first = watch.find_directories()
        folder.rename(tmp_path / "old")
        folder.mkdir()
        assert watch.find_directories() != first


class TestSettler:
    """When a change may be acted on."""

    def test_a_change_waits_until_it_rests(self) -> None:
        """A change is acted on 0.3 s after it was last seen to change, once."""
        settler = Settler(A)
        assert settler.decide(A, 10.0) is None
        assert settler.decide(B, 11.0) == pytest.approx(0.3)
        assert settler.decide(B, 11.2) == pytest.approx(0.1)
        assert settler.decide(C, 11.25) == pytest.approx(0.3)
        assert settler.decide(C, 11.6) == 0
        assert settler.decide(C, 11.7) is None

    def test_what_was_undone_is_no_change(self) -> None:
        """An edit that is taken back before it rests is never acted on."""
        settler = Settler(A)
        assert settler.decide(B, 1.0) == pytest.approx(0.3)
        assert settler.decide(A, 1.1) is None
        assert settler.decide(B, 1.2) == pytest.approx(0.3)

    @given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.floats(0.0, 0.4)), max_size=40))
    def test_only_what_has_rested_is_acted_on(self, steps: list[tuple[Look, float]]) -> None:
        """Whatever comes, what is acted on differs from before and was the same for 0.3 s."""
        settler, acted_on, now_s = Settler(A), A, 0.0
        before, since_s = A, 0.0
        for look, pause_s in steps:
            now_s += pause_s
            if look != before:
                before, since_s = look, now_s
            if settler.decide(look, now_s) == 0:
                assert look != acted_on
                assert now_s - since_s >= 0.3 - 1e-9
                acted_on = look


def rename_over(path: Path, data: bytes) -> None:
    """Change a file as editors do."""
    write(path.with_name("new"), data)
    path.with_name("new").rename(path)


def remove(path: Path) -> None:
    """Delete a file."""
    path.unlink()


def replace_directory(path: Path, data: bytes) -> None:
    """Put a new directory with the file in the place of the old one."""
    path.parent.rename(path.parent.with_name("away"))
    path.parent.mkdir()
    write(path, data)


def count_inotify() -> int:
    """Return how many inotify instances this process has open."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(os.readlink(entry))
    return sum("inotify" in link for link in links)


class Changes:
    """Counts calls, and lets a test wait for the next one."""

    def __init__(self) -> None:
        self.count = 0
        self._news = asyncio.Event()

    async def note(self) -> None:
        """Be told of a change."""
        self.count += 1
        self._news.set()

    async def wait(self) -> None:
        """Wait until a change was told since the last call."""
        async with asyncio.timeout(10):
            await self._news.wait()
        self._news.clear()


@asynccontextmanager
async def watching(path: Path, poll_s: float) -> AsyncIterator[Changes]:
    """Watch one file while the block runs, which begins after the first look: inotify listens."""
    changes = Changes()
    watch = FileWatch([path])
    since = watch.look()
    first = asyncio.Event()
    loop = asyncio.get_running_loop()
    real = watch.look

    def look() -> Look:
        found = real()
        loop.call_soon_threadsafe(first.set)
        return found

    watch.look = look  # type: ignore[method-assign]
    task = asyncio.create_task(
        watch_files(watch, since, changes.note, poll_s=poll_s, settle_s=0.01)
    )
    await first.wait()
    try:
        yield changes
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_every_way_to_edit_is_found_by_polling(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without inotify: writing, renaming over, emptying, deleting and putting back are found."""

    def refuse(*_arguments: object, **_options: object) -> AsyncIterator[object]:
        raise OSError(errno.ENOSPC, "OS file watch limit reached")

    monkeypatch.setattr(watchfiles, "awatch", refuse)
    with capture_logs() as lines:
        async with watching(path, poll_s=0.01) as changes:
            write(path, b"port: 2")
            await changes.wait()
            rename_over(path, b"port: 3")
            await changes.wait()
            write(path, b"")
            await changes.wait()
            remove(path)
            await changes.wait()
            replace_directory(path, b"port: 4")
            await changes.wait()
    assert [line["event"] for line in lines] == ["changes of files are found by polling only"]
    assert "watch limit" in lines[0]["reason"]


async def test_inotify_wakes_the_look(path: Path) -> None:
    """With a poll that never comes, an edit is found all the same, and a second one too."""
    async with watching(path, NEVER_S) as changes:
        write(path, b"port: 2")
        await changes.wait()
        rename_over(path, b"port: 3")
        await changes.wait()


async def test_a_watch_ends_at_once(path: Path) -> None:
    """Cancelled while its thread listens, it ends, and inotify is let go of."""
    before = count_inotify()
    async with asyncio.timeout(5):
        async with watching(path, NEVER_S) as changes:
            write(path, b"port: 2")
            await changes.wait()
            assert count_inotify() == before + 1
        # The library's own thread closes it, a moment after it was told to.
        while count_inotify() != before:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0)


async def test_what_is_only_touched_is_not_told(path: Path) -> None:
    """A touch, and an edit of another file in the directory, tell nothing; a real edit does."""
    async with watching(path, poll_s=0.01) as changes:
        write(path, b"port: 1", at=2000.0)
        write(path.with_name("other"), b"x")
        write(path, b"port: 2")
        await changes.wait()
        assert changes.count == 1
