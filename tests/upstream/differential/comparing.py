"""Runs cases through both transports at once, and counts where and why they differ."""

import asyncio
from collections import Counter
from collections.abc import Iterator

from msgspec import Struct, field

from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.httptools_transport import HttptoolsTransport
from tests.upstream.differential.differences import find_difference
from tests.upstream.differential.playing import CaseServer, Events, Side, play_case, serving_cases
from tests.upstream.differential.responses import Case, build_case

AIOHTTP = Side("aiohttp", AiohttpTransport, "utf-8")
OWN = Side("own", HttptoolsTransport, "latin-1")
AT_ONCE = 48
PATIENCE = 8
MOST_SHOWN_BYTES = 600


class Tally(Struct):
    """
    What a run has found.

    `differences` counts by the row of the table that explains them, `outcomes` what our own
    transport told; `findings` is what is wrong: both should be alike, or right, and are not.
    """

    case_count: int = 0
    right_count: int = 0
    differences: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


async def compare_transports(seed: int, numbers: range) -> Tally:
    """
    Play cases of a seed to both transports, and return what differs.

    A case in which something is wrong is played again alone, with more patience: how a busy
    machine hands out its time is no difference.
    """
    tally = Tally()
    suspects: list[int] = []
    left = iter(numbers)
    async with serving_cases() as server:
        await asyncio.gather(
            *(_compare(server, seed, left, tally, suspects) for _ in range(AT_ONCE))
        )
    async with serving_cases(PATIENCE) as server:
        for number in suspects:
            await _compare(server, seed, iter((number,)), tally, None)
    return tally


async def _compare(
    server: CaseServer, seed: int, numbers: Iterator[int], tally: Tally, suspects: list[int] | None
) -> None:
    for number in numbers:
        case = build_case(seed, number)
        aiohttp = await play_case(server, AIOHTTP, case)
        own = await play_case(server, OWN, case)
        wrong = _find_lie(case, aiohttp) + _find_lie(case, own)
        row = None
        if aiohttp != own:
            # Where bytes were changed, a body may have become a head.
            outside = case.data if case.has_changed else build_case(seed, number, b".").data
            row = find_difference(outside, aiohttp, own, case)
            if row is None:
                wrong += "they differ. "
        if wrong and suspects is not None:
            suspects.append(number)
            continue
        tally.case_count += 1
        tally.right_count += case.truth is not None
        tally.outcomes[own.refusal or own.ending] += 1
        if row is not None:
            tally.differences[row.name] += 1
        if wrong:
            tally.findings.append(_describe(seed, case, wrong, aiohttp, own))


def _find_lie(case: Case, events: Events) -> str:
    """Return what is untrue of events by themselves, "" if nothing is."""
    if events.after != "right":
        return f"the next request got {events.after}. "
    truth = case.truth
    if truth is None:
        return ""
    told = Events(
        status=truth.status,
        headers=truth.headers,
        body=truth.body,
        ending="complete",
        sent=1,
        reused=truth.is_reusable,
    )
    return "" if events == told else "a right answer is told wrongly. "


def _describe(seed: int, case: Case, wrong: str, aiohttp: Events, own: Events) -> str:
    names = [
        name for name in Events.__struct_fields__ if getattr(aiohttp, name) != getattr(own, name)
    ]
    told = [
        f"{name}: {_show(getattr(aiohttp, name))} / {_show(getattr(own, name))}" for name in names
    ]
    return (
        f"seed {seed}, case {case.number}, {' + '.join(case.marks) or 'right'}, {case.ending}, "
        f"{len(case.pieces)} pieces: {wrong}aiohttp / own: {'; '.join(told) or own}\n"
        f"    {case.data[:MOST_SHOWN_BYTES]!r}"
    )


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) < 100 else text[:100] + "..."
