"""
One of several health workers as far as publishing goes: its own program.

    python -m tests.health_worker.publisher_process URL

Each line of its standard input is carried out, and answered by one line: `lead` by its fence, 0 if
it does not lead; a state by whether a verdict with that state was told (1, 0). With `!` before it
a state is told without a look at the clock, as by one that has stood still since it looked.
"""

import asyncio
import sys

import structlog

from health_worker.publish import RedisPublisher
from proxy.stores.redis_link import RedisLink
from tests.stores.verdict_contract import build_verdict

LEASE_S = 1.0


async def publish(url: str) -> None:
    """Do as it is told until standard input ends."""
    link = RedisLink(url, operation_s=5.0)
    publisher = RedisPublisher(link, lease_s=LEASE_S, renew_s=LEASE_S / 10)
    link.start()
    assert await link.wait_joined(10)
    lines: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(
        sys.stdin.fileno(), lambda: lines.put_nowait(sys.stdin.readline().strip())
    )
    while line := await lines.get():
        if line == "lead":
            answer = publisher._fence if await publisher.lead() else 0
        else:
            if line.startswith("!"):
                publisher._lease._until_s = float("inf")
            answer = await publisher.tell([build_verdict(state=line.lstrip("!"))])  # type: ignore[arg-type]
        sys.stdout.write(f"{int(answer)}\n")
        sys.stdout.flush()
    await publisher.close()
    await link.close()


if __name__ == "__main__":
    # Standard output is for answers.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(publish(sys.argv[1]))
