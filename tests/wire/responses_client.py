"""What OpenAI's own SDK makes of our responses, and a reader that makes events of them."""

import json
from collections.abc import Sequence
from typing import Any

import httpx2
from msgspec import Raw
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.domain.errors import ProxyError, UpstreamTruncated
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Counted,
    Event,
    Finished,
    FinishReason,
    Refused,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.responses_thought import CallSignature, unwrap_thought
from proxy.wire.sse import EventSplitter, ServerSentEvent

_EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
_ENDS = ("response.completed", "response.incomplete")
_REASONS: dict[str | None, FinishReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}


def build_ask(operation: Any = "responses", model: str = "m", **fields: Any) -> Ask:
    """Return an Ask with these fields, whose input is a greeting if there is no other."""
    raw = {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}
    raw.setdefault("input", Raw(b'"hi"'))
    return Ask(operation, model, raw, wants_usage=True, asked_at=7)


def split_events(stream: bytes) -> list[dict[str, Any]]:
    """Return the data of each event, which the SDK's types take; names and numbers are in order."""
    splitter = EventSplitter(1 << 20)
    found: list[dict[str, Any]] = []
    for event in (*splitter.feed(stream), *splitter.finish()):
        assert isinstance(event, ServerSentEvent)
        data = json.loads(event.data)
        assert (data["type"], data["sequence_number"]) == (event.name, len(found))
        _EVENTS.validate_python(data)
        found.append(data)
    return found


def check_invariants(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the response that ends a stream, in which everything that began has ended."""
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in _ENDS
    assert not set(kinds[2:-1]) & {"response.created", "response.in_progress", *_ENDS}
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1
    added: dict[int, Any] = {}
    done: dict[int, Any] = {}
    parts: set[tuple[int, str, int]] = set()
    for event in events[2:-1]:
        index, kind = event["output_index"], event["type"]
        if kind == "response.output_item.added":
            assert index == len(added)
            added[index] = event["item"]
        elif kind == "response.output_item.done":
            assert event["item"]["id"] == added[index]["id"]
            assert event["item"]["type"] == added[index]["type"]
            assert not any(part[0] == index for part in parts)
            done[index] = event["item"]
        else:
            assert event["item_id"] == added[index]["id"]
            assert index not in done
            _check_part(event, parts)
    assert done.keys() == added.keys()
    response: dict[str, Any] = events[-1]["response"]
    assert response["output"] == [done[index] for index in sorted(done)]
    return response


def _check_part(event: dict[str, Any], parts: set[tuple[int, str, int]]) -> None:
    for name in ("content_index", "summary_index"):
        if name not in event:
            continue
        part = (event["output_index"], name, event[name])
        if event["type"].endswith("_part.added"):
            assert part not in parts
            parts.add(part)
        elif event["type"].endswith("_part.done"):
            parts.remove(part)
        else:
            assert part in parts


def read_stream(stream: bytes, **options: Any) -> Any:
    """Return the response that the SDK's stream helper ends up with."""
    check_invariants(split_events(stream))
    with (
        open_client(stream, "text/event-stream") as client,
        client.responses.stream(model="m", input="x", **options) as events,
    ):
        return events.get_final_response()


def read_answer(body: bytes) -> Response:
    """Return a whole answer as the SDK's type, which has checked it."""
    return Response.model_validate_json(body)


def open_client(content: bytes, media_type: str) -> OpenAI:
    """Return the SDK's client, to whom every request is answered by this."""
    headers = {"content-type": media_type}
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200, content=content, headers=headers)
    )
    http = httpx2.Client(transport=transport)
    return OpenAI(api_key="k", base_url="http://proxy", http_client=http, max_retries=0)


class ResponseEvents:
    """An EventReader (see `wire/dialect.py`) of this dialect, for tests alone."""

    may_end = False

    def __init__(self) -> None:
        self.is_over = False
        self.error: ProxyError | None = None
        self.anomalies: set[Anomaly] = set()
        self.event_count = 0
        self._splitter = EventSplitter(1 << 20)
        self._calls: dict[int, int] = {}

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes and return what they say."""
        return [event for found in self._splitter.feed(chunk) for event in self._read(found)]

    def finish(self) -> list[Event]:
        """Take note of the end: whatever the stream has not told is missing."""
        self.error = UpstreamTruncated()
        return []

    def _read(self, found: ServerSentEvent | bytes) -> list[Event]:
        assert isinstance(found, ServerSentEvent)
        self.event_count += 1
        data = json.loads(found.data)
        kind, index = found.name, data.get("output_index")
        if kind == "response.created":
            return [_read_started(data["response"])]
        if kind == "response.output_text.delta":
            return [Said(data["delta"])]
        if kind == "response.refusal.delta":
            return [Refused(data["delta"])]
        if kind == "response.output_item.added" and data["item"]["type"] == "function_call":
            place = self._calls[index] = len(self._calls)
            return [CallStarted(place, data["item"]["call_id"], data["item"]["name"])]
        if kind == "response.function_call_arguments.delta":
            return [CallArguments(self._calls[index], data["delta"])]
        if kind == "response.output_item.done" and index in self._calls:
            return [CallEnded(self._calls[index])]
        if kind == "response.output_item.done" and data["item"]["type"] == "reasoning":
            return _read_thought(data["item"])
        if kind in _ENDS:
            self.is_over = True
            return _read_end(data["response"])
        return []


def read_whole(body: bytes) -> list[Event]:
    """Return the events of a whole answer."""
    response = json.loads(body)
    events: list[Event] = [_read_started(response)]
    calls = 0
    for item in response["output"]:
        if item["type"] == "function_call":
            events += [
                CallStarted(calls, item["call_id"], item["name"]),
                CallArguments(calls, item["arguments"]),
                CallEnded(calls),
            ]
            calls += 1
        elif item["type"] == "reasoning":
            events += _read_thought(item)
        else:
            for part in item["content"]:
                is_text = part["type"] == "output_text"
                events.append(Said(part["text"]) if is_text else Refused(part["refusal"]))
    return events + _read_end(response)


def _read_started(response: Any) -> Event:
    # Who reads knows nothing of the id that another dialect had.
    return Started("msg_1", response["model"], response["created_at"])


def _read_thought(item: Any) -> list[Event]:
    summary = "".join(part["text"] for part in item["summary"])
    found = unwrap_thought(item["encrypted_content"], summary)
    if found is None or isinstance(found, CallSignature):
        return []
    ended = ThoughtEnded(found.maker, found.signature, found.is_redacted, extra=found.extra)
    return [Thinking(found.text, found.maker), ended] if found.text else [ended]


def _read_end(response: Any) -> list[Event]:
    counted = response["usage"]
    into, out = counted["input_tokens_details"], counted["output_tokens_details"]
    usage = Usage(
        counted["input_tokens"],
        counted["output_tokens"],
        cached_tokens=into["cached_tokens"],
        cache_write_tokens=into["cache_write_tokens"],
        reasoning_tokens=out["reasoning_tokens"],
    )
    details = response["incomplete_details"] or {}
    has_calls = any(item["type"] == "function_call" for item in response["output"])
    whole: FinishReason = "tool_calls" if has_calls else "stop"
    return [Counted(usage), Finished(_REASONS.get(details.get("reason"), whole))]
