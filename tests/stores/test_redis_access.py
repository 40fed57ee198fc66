"""docs/redis.md prints one line that makes a user: it is enough for everything, and no more."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from proxy.domain.breaker import BreakerRules
from proxy.domain.health import HealthNews
from proxy.stores.redis_breakers import RedisBreakers
from proxy.stores.redis_link import RedisLink
from proxy.stores.redis_verdicts import RedisVerdicts
from proxy.stores.verdict_lease import VerdictLease
from proxy.stores.verdict_messages import ORDERS_CHANNEL, read_order
from tests.fakes.redis_server import RedisServer
from tests.promises.markdown import read_blocks
from tests.promises.tree import ROOT
from tests.stores.links import SOON_S, linked
from tests.stores.verdict_contract import build_verdict

STORES = Path(ROOT) / "proxy" / "stores"
LINKS_OWN = {"ping", "eval", "evalsha", "set", "subscribe", "select"}
_CALLED = re.compile(r"redis\.p?call\('([A-Z]+)'")


@pytest.fixture
def printed_line() -> list[str]:
    """Return the words of the line, without the program that is asked to run it."""
    (block,) = read_blocks((ROOT / "docs" / "redis.md").read_text(), "sh")
    program, *words = shlex.split(block.text)
    assert program == "redis-cli"
    return words


@pytest.fixture
def url(own_redis_server: RedisServer, printed_line: list[str]) -> str:
    """Return the URL of a Redis for the printed user."""
    assert own_redis_server.command(*printed_line) == b"OK"
    return own_redis_server.url_for("llm-proxy", "secret")


def test_the_printed_user_may_run_what_is_used_and_nothing_else(printed_line: list[str]) -> None:
    """The commands of the line are those of the scripts and of the link itself."""
    allowed = {word[1:] for word in printed_line if word.startswith("+")}
    scripts = [path.read_text() for path in STORES.glob("*.lua")]
    called = {name.lower() for text in scripts for name in _CALLED.findall(text)}
    assert allowed == called | LINKS_OWN


async def test_the_printed_user_can_join_and_hear(own_redis_server: RedisServer, url: str) -> None:
    """A link joins as this user with a database of its own, without a warning."""
    async with linked(f"{url}/1") as watched:
        assert await watched.link.command("PING") == b"PONG"
    assert watched.told == [("info", "redis is joined")]
    assert "secret" not in str(watched.lines)


async def test_the_printed_user_can_share_breakers(own_redis_server: RedisServer, url: str) -> None:
    """What one process is told to open, another one reads as open; nothing was denied."""
    links = [RedisLink(url, operation_s=SOON_S) for _ in range(2)]
    first, second = (RedisBreakers(link, BreakerRules()) for link in links)
    for link in links:
        link.start()
        assert await link.wait_joined(SOON_S)
    async with asyncio.timeout(SOON_S):
        while not (first.is_shared and second.is_shared):  # noqa: ASYNC110  a reply away
            await asyncio.sleep(0)
    assert await first.command("a/b", "open")
    (report,) = await second.read(["a/b"])
    assert report.state == "forced_open"
    for breakers, link in zip((first, second), links, strict=True):
        await breakers.close()
        await link.close()
    denied = own_redis_server.command("ACL", "LOG")
    assert {entry[entry.index(b"object") + 1] for entry in denied} <= {b"config|get"}


async def test_the_printed_user_can_share_verdicts(own_redis_server: RedisServer, url: str) -> None:
    """One leads and tells, another believes it and is heard with an order; nothing was denied."""
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    telling, hearing = (RedisLink(url, operation_s=SOON_S) for _ in range(2))
    lease, verdicts = VerdictLease(telling, "me"), RedisVerdicts(hearing)
    telling.subscribe(ORDERS_CHANNEL, asked.put_nowait)
    for link in (telling, hearing):
        link.start()
        assert await link.wait_joined(SOON_S)
    assert await lease.lead()
    order = asyncio.create_task(verdicts.order("check", (), SOON_S))
    message = read_order(await asked.get())
    assert message is not None
    # The sixteenth drops what is over.
    news = HealthNews(lease.fence, 16, (build_verdict(),), 30.0, answered=(message.id,))
    assert await lease.publish(news)
    await order
    assert len(verdicts) == 1
    await lease.release()
    await verdicts.close()
    for link in (telling, hearing):
        await link.close()
    denied = own_redis_server.command("ACL", "LOG")
    assert {entry[entry.index(b"object") + 1] for entry in denied} <= {b"config|get"}
