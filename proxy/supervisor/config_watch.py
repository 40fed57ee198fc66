"""Has the configuration read anew whenever one of its files has changed and come to rest."""

import asyncio
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

from proxy.config.watcher import FileWatch, watch_files
from proxy.supervisor.live_config import LiveConfig


async def watch_config(paths: Sequence[Path], live: LiveConfig) -> None:
    """
    Have every edit judged, for ever; one that was judged because somebody asked is not again.

    Args:
        paths: the files.
        live: what does the reading.
    """
    watch = FileWatch(paths)

    async def judge() -> None:
        now = await asyncio.to_thread(watch.look)
        if now != live.judged:
            is_other = [old != new for old, new in zip(live.judged, now, strict=True)]
            names = ", ".join(path.name for path in compress(paths, is_other))
            await live.reload(f"edit of {names}", is_edit=True)

    await watch_files(watch, live.judged, judge)
