"""How the simulator's tests ask: bodies, plans, and a client that sees the very bytes."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proxy.simulator.fault_kind import Face
from proxy.simulator.generator import build_plan
from proxy.simulator.knobs import NO_KNOBS, Knobs
from proxy.simulator.plan import Data, Head, Plan
from proxy.simulator.server import RunningSimulator

NOW = 1_800_000_000
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
            "required": ["city", "unit"],
        },
    },
}


def chat_body(model: str, text: str = "Is it sunny in Lisbon today?", **more: Any) -> bytes:
    """Return a chat request with one message of the user."""
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": model, "messages": messages, **more}).encode()


def plan_of(
    body: bytes,
    path: str = "/chat/completions",
    *,
    face: Face = "http",
    options: Knobs = NO_KNOBS,
) -> Plan:
    """Return the plan for a POST, at a fixed time."""
    return build_plan("POST", path, body, created_at=NOW, face=face, options=options)


def chat_plan(model: str, text: str = "Is it sunny in Lisbon today?", **more: Any) -> Plan:
    """Return the plan for a chat request with one message."""
    return plan_of(chat_body(model, text, **more))


def status_of(plan: Plan) -> int:
    """Return the status of the plan's head."""
    return next(step.status for step in plan.steps if isinstance(step, Head))


def body_of(plan: Plan) -> bytes:
    """Return every byte of the plan's body."""
    return b"".join([step.chunk for step in plan.steps if isinstance(step, Data)])


def answer_of(plan: Plan) -> Any:
    """Return the plan's body as JSON."""
    return json.loads(body_of(plan))


def chunks_of(plan: Plan) -> list[Any]:
    """Return the JSON of every event but `[DONE]`, which must be the last."""
    return parse_events(body_of(plan))


def parse_events(stream: bytes) -> list[Any]:
    """Return the JSON of every event but `[DONE]`, which must be the last."""
    *frames, done, rest = stream.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]


def text_of(chunks: list[Any], index: int = 0) -> str:
    """Return the joined content of one choice of a stream."""
    parts = [part for chunk in chunks for part in chunk["choices"] if part["index"] == index]
    return "".join([part["delta"].get("content") or "" for part in parts])


@dataclass
class RawReply:
    """What came over one connection: all bytes, and whether a reset ended it."""

    wire: bytes
    was_reset: bool

    @property
    def head(self) -> str:
        """Status line and headers, in lower case."""
        return self.wire.partition(b"\r\n\r\n")[0].decode("latin-1").lower()

    @property
    def body(self) -> bytes:
        """The body as it travelled, chunk sizes and all."""
        return self.wire.partition(b"\r\n\r\n")[2]

    @property
    def text(self) -> bytes:
        """The body without its chunk sizes, as far as it came."""
        if "transfer-encoding: chunked" not in self.head:
            return self.body
        rest, text = self.body, b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            text += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return text


def raw_request(body: bytes, path: str = "/v1/chat/completions") -> bytes:
    """Return a whole HTTP request."""
    head = f"POST {path} HTTP/1.1\r\nHost: sim\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def ask_raw(
    simulator: RunningSimulator,
    body: bytes,
    path: str = "/v1/chat/completions",
    *,
    until: bytes | None = None,
) -> RawReply:
    """Send one request and read to the end of the connection, or until `until` has come."""
    reader, writer = await asyncio.open_connection(simulator.host, simulator.port)
    writer.write(raw_request(body, path))
    wire = b""
    try:
        while until is None or until not in wire:
            part = await reader.read(65_536)
            if not part:
                break
            wire += part
    except ConnectionResetError:
        return RawReply(wire, was_reset=True)
    finally:
        writer.close()
    return RawReply(wire, was_reset=False)


async def turns_until(condition: Callable[[], bool]) -> None:
    """Give the loop its turns until `condition` holds, for what announces itself to nobody."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)
