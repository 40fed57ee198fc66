"""
Request smuggling, straight to us and through two servers in a row: `make campaign NAME=smuggling`.

The vectors are those of `tests/faults/test_smuggling.py`; straight to us each is also sent in
two parts, cut at every byte of it that may matter.
"""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from campaigns.base import PASSED, Result, write_result
from proxy.domain.settings import ClientClocks
from tests.fakes.proxy_server import proxying
from tests.fakes.raw_upstream import open_raw_upstream
from tests.faults.smuggling_fronts import FRONTS, find_program, open_front
from tests.faults.smuggling_oracle import TagUpstream, attack_all_through, attack_straight
from tests.faults.smuggling_vectors import VECTORS

HASTY = ClientClocks(head_s=0.5, body_s=0.5)
CUT_EVERY_BYTES = 3
AT_ONCE = 20
ABOUT = (
    "Each vector carries a second request, with a good key, where one reading finds a body and "
    "another one the next request. Straight to us it must end as the specification wants; behind "
    "a front no more may be asked of the upstream than the front has seen, and the next callers "
    "of the same front must get their own answers."
)


def main() -> int:
    columns: dict[str, Mapping[str, str]] = {}
    notes = [ABOUT]
    columns["straight"] = asyncio.run(attack_whole())
    columns["straight, in two parts"] = asyncio.run(attack_in_parts())
    for front in FRONTS:
        if find_program(front.partition(" ")[0]) is None:
            notes.append(f"`{front}` is not installed and was not asked.")
            continue
        found = asyncio.run(attack_behind(front))
        columns[front] = {name: verdict for name, (verdict, _) in found.items()}
        seen = [count for _, count in found.values()]
        notes.append(
            f"{front}: {seen.count(0)} vectors ended without an answer, {seen.count(1)} were one "
            f"request to it, {sum(count > 1 for count in seen)} were two."
        )
    rows = {v.name: [column[v.name] for column in columns.values()] for v in VECTORS}
    title = "Smuggling vectors, straight and behind other servers"
    return write_result(Result("smuggling", title, [*columns], rows, notes))


async def attack_whole() -> dict[str, str]:
    """Send each vector at once."""
    upstream = TagUpstream()
    async with (
        open_raw_upstream(upstream) as raw,
        proxying(raw.url, client_clocks=HASTY) as server,
    ):
        return {v.name: await attack_straight(server.port, v, upstream) for v in VECTORS}


async def attack_in_parts() -> dict[str, str]:
    """Send each vector in two parts, cut at many places; the first failure speaks for it."""
    upstream = TagUpstream()
    gate = asyncio.Semaphore(AT_ONCE)
    async with (
        open_raw_upstream(upstream) as raw,
        proxying(raw.url, client_clocks=HASTY) as server,
    ):

        async def attack(number: int) -> str:
            vector = VECTORS[number]
            for cut in range(1, len(vector.data), CUT_EVERY_BYTES):
                async with gate:
                    verdict = await attack_straight(server.port, vector, upstream, number, cut)
                if verdict != PASSED:
                    return f"cut at {cut}: {verdict}"
            return PASSED

        verdicts = await asyncio.gather(*(attack(number) for number in range(len(VECTORS))))
    return {vector.name: verdict for vector, verdict in zip(VECTORS, verdicts, strict=True)}


async def attack_behind(front: str) -> dict[str, tuple[str, int]]:
    """Send each vector through a front."""
    upstream = TagUpstream()
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_raw_upstream(upstream) as raw,
            proxying(raw.url, client_clocks=HASTY) as server,
            open_front(front, server.port, Path(folder)) as port,
        ):
            return await attack_all_through(port, upstream)


if __name__ == "__main__":
    sys.exit(main())
