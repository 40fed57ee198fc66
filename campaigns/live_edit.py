"""
The configuration is edited under load: `make campaign NAME=live-edit`.

200 streams are open all the time and 50 short requests a second come in, while config.yaml is
written, cut off, emptied, replaced by what is no file, and restored. LIVE_EDIT_STEP=10 cuts at
every tenth percent only, for trying.
"""

import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from campaigns.base import PASSED, Result, write_result
from campaigns.ground import edits
from campaigns.ground.caller import find_percentile
from campaigns.ground.client import Broken, build_chat_request
from campaigns.ground.editor import Editor, Phase
from campaigns.ground.kernel import raise_file_limit
from campaigns.ground.load import Kind, Load
from campaigns.ground.paced import SLOW_STREAMS, Ground
from campaigns.ground.probes import open_probes
from campaigns.ground.service import Service
from campaigns.ground.upstream import running_upstream
from tests.fakes.ports import find_port

STREAMS, PER_S = 200, 50.0
STEP = int(os.environ.get("LIVE_EDIT_STEP", "1"))
CUTS = range(STEP, 100, STEP)
BY_INOTIFY_S, BY_POLLING_S = 1.0, 2.0
POLLED_EDITS = 30
ROUNDS = 5
"""How often each way of editing and each accident has its turn."""
WAYS: Sequence[edits.Edit] = (
    edits.write_in_place,
    edits.write_in_pieces,
    edits.rename_over,
    edits.move_aside,
    edits.swap_data_link,
)
BROKEN: dict[str, Callable[[str], str]] = {
    "broken YAML": lambda text: text.replace("routes:", "routes: ["),
    "an unknown setting": lambda text: text.replace("workers:", "wokers:"),
    "a wrong value": lambda text: text.replace("drain_timeout: ", "drain_timeout: soon"),
    "an alias that leads nowhere": lambda text: text.replace("{provider: ", "{provider: no-"),
    "binary noise": lambda text: text.replace("port:", "po\x00rt:"),
}
ACCIDENTS: Sequence[edits.Accident] = (
    edits.empty,
    edits.delete,
    edits.put_directory,
    edits.put_pipe,
    edits.put_loose_link,
)


def main() -> int:
    raise_file_limit(4096)
    with (
        tempfile.TemporaryDirectory() as name,
        running_upstream("paced_upstream") as upstream_port,
    ):
        ground = Ground(find_port(), upstream_port, Path(name))
        ground.config.write_text(ground.build(1))
        service = Service(ground.config, ground.folder)
        try:
            return write_result(asyncio.run(measure(ground, service)))
        finally:
            service.kill()


async def measure(ground: Ground, service: Service) -> Result:
    """Run every phase under one load, and return what they have found."""
    pids, _ = await asyncio.to_thread(service.wait_until_whole)
    probes = await open_probes(ground.port, pids)
    editor = Editor(ground, service, probes)
    editor.served = (await probes.read())[0]
    short = Kind(build_chat_request("live", is_stream=False), editor.begin_request)
    phases = []
    async with Load(ground.port, SLOW_STREAMS, STREAMS, short, PER_S) as load:
        for title, promise_s, run in (
            ("with the marker", BY_INOTIFY_S, edit_with_marker),
            ("with the marker, polling alone", BY_POLLING_S, edit_unseen),
            ("without the marker", BY_INOTIFY_S, edit_without_marker),
        ):
            phase = Phase(title, promise_s)
            seen = len(load.faults)
            try:
                await run(editor, phase)
            except Broken as broken:
                phase.complain("requests", f"a probe: {broken.what}")
            phase.complaints["requests"] += [fault.what for fault in load.faults[seen:]]
            phases.append(phase)
        seen = len(load.faults)
    phases[-1].complaints["requests"] += [fault.what for fault in load.faults[seen:]]
    probes.close()
    config = service.read_status()["config"]
    return build_result(phases, load, editor.version, config["generation"])


async def edit_with_marker(editor: Editor, phase: Phase) -> None:
    """Cut the file at every percent, break it in every way, and mend it in every way."""
    for percent in CUTS:
        text = edits.cut(editor.text, percent)
        await editor.spoil(
            f"cut at {percent} %",
            partial(edits.write_in_place, text=text),
            phase,
        )
        if percent % 5 == 0:
            await editor.change(WAYS[percent // 5 % len(WAYS)], phase)
    for turn in range(ROUNDS):
        for number, (name, spoil) in enumerate(BROKEN.items()):
            text = spoil(editor.text)
            assert text != editor.text, name
            await editor.spoil(name, partial(edits.rename_over, text=text), phase)
            await editor.change(WAYS[(turn + number) % len(WAYS)], phase)
        for number, accident in enumerate(ACCIDENTS):
            await editor.spoil(accident.__name__, accident, phase)
            await editor.change(WAYS[(turn + number) % len(WAYS)], phase)
    if os.geteuid():
        await editor.spoil("no rights", edits.take_rights, phase)
        await editor.change(edits.rename_over, phase)


async def edit_unseen(editor: Editor, phase: Phase) -> None:
    """Edit through another name, which no watch of the directory can see."""
    await editor.change(edits.rename_over, Phase("a plain file to begin with", BY_INOTIFY_S))
    for number in range(POLLED_EDITS):
        if number % 5 == 4:
            text = edits.cut(editor.text, 10 * (number // 5 + 1))
            await editor.spoil(
                "cut",
                partial(edits.write_by_other_name, text=text),
                phase,
            )
        await editor.change(edits.write_by_other_name, phase)


async def edit_without_marker(editor: Editor, phase: Phase) -> None:
    """Cut a file without a marker at every percent: what is let through is as the rule says."""
    await editor.drop_marker(phase)
    for percent in CUTS:
        await editor.shrink(percent, phase)
        await editor.change(WAYS[percent % len(WAYS)], phase)


def build_result(phases: Sequence[Phase], load: Load, versions: int, generation: int) -> Result:
    """Return the page: a row for each check, a column for each phase."""
    titles = {
        "requests": "no request fails, none is answered by a version that is not in force",
        "refused": "each broken edit is refused, and `last_error` says so",
        "served": "what is served is the last good version, on every worker",
        "in time": "each good edit is in force on all workers in time",
    }
    rows = {
        title: [_say(phase.complaints[check]) for phase in phases]
        for check, title in titles.items()
    }
    edits_count = sum(len(phase.times_s) + phase.refused + phase.let_through for phase in phases)
    notes = [
        f"{STREAMS} streams of four seconds are open all the time and {PER_S:g} short requests a "
        f"second come in, on new connections and on kept ones; 2 workers. config.yaml is edited "
        f"{edits_count} times: {versions} versions, of which the service has made "
        f"{generation} generations. {load.good_streams:,} whole streams and "
        f"{load.good_requests:,} good answers, the slowest after {load.slowest_s * 1000:.0f} ms.",
        *(_describe(phase) for phase in phases),
    ]
    notes.append(
        "Polling alone: the file is written through a hard link in another directory. Each edit "
        "follows the force of the last one at once, and so waits for most of a period of the poll."
    )
    if not os.geteuid():
        notes.append("Run as root, whom no rights keep from reading: `chmod 000` was left out.")
    title = "A configuration that is edited under load"
    return Result("live-edit", title, [phase.title for phase in phases], rows, notes)


def _say(complaints: Sequence[str]) -> str:
    if not complaints:
        return PASSED
    shown = "; ".join(dict.fromkeys(complaints))
    return f"{len(complaints)}: {shown}"


def _describe(phase: Phase) -> str:
    times_s = phase.times_s
    told = (
        f"median {statistics.median(times_s):.2f} s, p90 {find_percentile(times_s, 90):.2f} s, "
        f"longest {max(times_s):.2f} s"
        if times_s
        else "none was measured"
    )
    return (
        f"{phase.title.capitalize()}: {phase.refused} edits were refused, {phase.let_through} "
        f"were cut off and let through as the rule says, {len(times_s)} were good; from the end "
        f"of an edit until all workers served it (at most {phase.promise_s:g} s): {told}."
    )


if __name__ == "__main__":
    sys.exit(main())
