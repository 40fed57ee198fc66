"""What Anthropic's own SDK makes of our bytes."""

import json
from typing import Any

import httpx2
from anthropic import Anthropic
from anthropic.types import Message, RawMessageStreamEvent
from msgspec import Raw
from pydantic import TypeAdapter

from proxy.wire.base import Ask
from proxy.wire.sse import EventSplitter, ServerSentEvent

_EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def build_ask(operation: Any = "messages", model: str = "m", **fields: Any) -> Ask:
    """Return an Ask with these fields."""
    raw = {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}
    return Ask(operation, model, raw, wants_usage=True)


def split_events(stream: bytes) -> list[dict[str, Any]]:
    """Return the data of each event; each has its own type for a name, as the SDK wants it."""
    splitter = EventSplitter(1 << 20)
    found = []
    for event in (*splitter.feed(stream), *splitter.finish()):
        assert isinstance(event, ServerSentEvent)
        data = json.loads(event.data)
        assert data["type"] == event.name
        found.append(data)
    return found


def read_stream(stream: bytes) -> Message:
    """Return the message that the SDK accumulates; its types have checked each event but pings."""
    for event in split_events(stream):
        if event["type"] == "ping":
            continue
        _EVENTS.validate_python(event, strict=True)
    content = {"content-type": "text/event-stream"}
    with (
        _open_client(httpx2.Response(200, content=stream, headers=content)) as client,
        client.messages.stream(
            model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}]
        ) as answer,
    ):
        return Message.model_validate(answer.get_final_message().model_dump())


def read_answer(body: bytes) -> Message:
    """Return a whole answer as the SDK's type, which has checked it."""
    return Message.model_validate_json(body, strict=True)


def _open_client(response: httpx2.Response) -> Anthropic:
    http = httpx2.Client(transport=httpx2.MockTransport(lambda request: response))
    return Anthropic(api_key="k", base_url="http://proxy", http_client=http, max_retries=0)
