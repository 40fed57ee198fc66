"""What has to hold of every smuggling vector, straight to us and behind a front."""

import asyncio
import re

import msgspec

from tests.fakes.proxy_server import ANSWER
from tests.fakes.raw_client import RawAnswer, RawClient, connecting
from tests.fakes.raw_upstream import UpstreamConnection
from tests.faults.smuggling_vectors import VECTORS, Vector, build_good

PASSED = "ok"
VICTIMS = 2
FRONT_S = 8.0
"""How long a front may take to be done with a vector; its own clocks are much shorter."""
ANSWER_S = 10.0
_TAG = re.compile(rb"(?:outer|inner|victim)-[0-9]{3}")
_FINAL = re.compile(rb"HTTP/1\.[01] [2-5]")


class TagUpstream:
    """A script that answers every request with the tags that were in it, and keeps them."""

    def __init__(self) -> None:
        self.tags: list[str] = []

    async def __call__(self, connection: UpstreamConnection) -> None:
        while True:
            _, _, body = await connection.read_request()
            found = [tag.decode() for tag in _TAG.findall(body)]
            self.tags += found
            message = {"role": "assistant", "content": " ".join(found)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            await connection.answer(msgspec.json.encode({**ANSWER, "choices": [choice]}))

    def count(self, tag: str) -> int:
        """Return how many requests held this tag."""
        return self.tags.count(tag)


async def attack_straight(
    port: int, vector: Vector, upstream: TagUpstream, number: int = 0, cut: int = 0
) -> str:
    """
    Send a vector to our own server and return `ok` or what was wrong.

    With `cut` its bytes come in two parts, the first of which is so long.
    """
    before = upstream.count(f"outer-{number:03d}")
    try:
        async with asyncio.timeout(ANSWER_S), connecting(port) as client:
            await _send(client, vector.tagged(number), cut)
            answer = await client.read_answer(is_to_head=_asks_head(vector))
            verdict = await _judge(client, vector, number, answer)
    except (AssertionError, TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
        verdict = f"{type(error).__name__}: {str(error)[:100]}"
    if upstream.count(f"inner-{number:03d}"):
        return "smuggled: the request inside was asked"
    asked = upstream.count(f"outer-{number:03d}") - before
    if asked != (vector.fate == "answered"):
        return f"{verdict}, and the upstream was asked {asked} times"
    return verdict


async def attack_through(
    port: int, vector: Vector, upstream: TagUpstream, number: int
) -> tuple[str, int]:
    """
    Send a vector to a front; return `ok` or what was wrong, and how many requests it saw.

    A front answers each request that it has seen, so what comes out behind us may be as much
    as it answered and no more: a request that we alone see is smuggled. And the next callers
    of the same front must get answers of their own.
    """
    received = b""
    async with connecting(port, vector.tagged(number)) as client:
        try:
            async with asyncio.timeout(FRONT_S):
                while part := await client.reader.read(65_536):
                    received += part
        except ConnectionError:
            pass
        except TimeoutError:
            return "the front still waits", 0
    for _ in range(VICTIMS):
        async with connecting(port, build_good(f"victim-{number:03d}")) as client:
            try:
                async with asyncio.timeout(ANSWER_S):
                    answer = await client.read_answer()
            except (asyncio.IncompleteReadError, AssertionError, TimeoutError) as error:
                return f"another caller got {type(error).__name__}", 0
        if answer.status != 200 or b"victim-%03d" % number not in answer.body:
            return f"another caller got {answer.status}", 0
    seen = len(_FINAL.findall(received))
    outer, inner = upstream.count(f"outer-{number:03d}"), upstream.count(f"inner-{number:03d}")
    if outer > 1 or inner > 1 or outer + inner > seen or (inner and seen < 2):
        return f"{seen} seen by the front, {outer} and {inner} inside asked of the upstream", seen
    return PASSED, seen


async def attack_all_through(port: int, upstream: TagUpstream) -> dict[str, tuple[str, int]]:
    """Send every vector to a front, all at once, and return what `attack_through` says of each."""
    found = await asyncio.gather(
        *(attack_through(port, vector, upstream, n) for n, vector in enumerate(VECTORS))
    )
    return {vector.name: verdict for vector, verdict in zip(VECTORS, found, strict=True)}


def _asks_head(vector: Vector) -> bool:
    return vector.data.startswith(b"HEAD ")


async def _send(client: RawClient, data: bytes, cut: int) -> None:
    if cut:
        await client.send(data[:cut])
        # The server shares this loop: a turn or two later it has read the first part.
        for _ in range(20):
            await asyncio.sleep(0)
        data = data[cut:]
    await client.send(data)


async def _judge(client: RawClient, vector: Vector, number: int, answer: RawAnswer) -> str:
    while answer.status == 100:
        answer = await client.read_answer()
    if vector.fate == "answered":
        if answer.status != 200 or b"outer-%03d" % number not in answer.body:
            return f"{answer.status} instead of its answer"
    elif not 400 <= answer.status < 500:
        return f"{answer.status} instead of a refusal"
    elif not _asks_head(vector) and not answer.error["message"]:
        return "an error without a message"
    if answer.headers.get("connection") == "close":
        rest = await client.read_end()
        return PASSED if rest == b"" else f"{answer.status}, and then {rest[:40]!r}"
    if vector.fate == "refused":
        return f"{answer.status} without 'Connection: close'"
    # The connection is still in step: what is sent next is the next request.
    await client.send(build_good(f"victim-{number:03d}"))
    answer = await client.read_answer()
    is_good = answer.status == 200 and b"victim-%03d" % number in answer.body
    return PASSED if is_good else f"out of step: {answer.status} for the next request"
