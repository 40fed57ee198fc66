"""Has the configuration read anew whenever one of its files has changed and come to rest."""

import asyncio
from itertools import compress
from pathlib import Path

from proxy.config.sources import PROBE_FILE_NAME, folder_of
from proxy.config.watcher import FileWatch, Look, watch_files
from proxy.supervisor.live_config import LiveConfig


def list_watched(config_path: Path | None) -> list[Path]:
    """Return the files that a configuration is made of; the packaged copy does not change."""
    folder = folder_of(config_path)
    beside = [folder / ".env", folder / PROBE_FILE_NAME]
    return beside if config_path is None else [config_path, *beside]


async def watch_config(paths: list[Path], since: Look, live: LiveConfig) -> None:
    """
    Have every edit judged, for ever.

    Args:
        paths: the files.
        since: how they were before they were read for what is served now.
        live: what does the reading.
    """
    watch = FileWatch(paths)
    before = since

    async def judge() -> None:
        nonlocal before
        now = await asyncio.to_thread(watch.look)
        pairs = zip(before, now, strict=True)
        is_other = [old != new for old, new in pairs]
        names = ", ".join(path.name for path in compress(paths, is_other))
        before = now
        await live.reload(f"edit of {names or 'files'}", is_edit=True)

    await watch_files(watch, since, judge)
