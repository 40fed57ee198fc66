"""The provider type behind every row of `openai_compatible.py`: OpenAI's format, made to fit."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from proxy.domain.catalog import SIMULATOR_TYPE, Deployment, Provider
from proxy.domain.chat import Maker
from proxy.domain.exchange import Operation, OutboundRequest
from proxy.domain.health import ProbeReading
from proxy.domain.settings import Clocks
from proxy.providers.foreign_chat import (
    build_chat_ask,
    is_foreign,
    open_foreign_stream,
    read_foreign_answer,
)
from proxy.providers.headers import AUTHORIZATION, EVENT_STREAM, build_headers, build_key_header
from proxy.providers.kept_request import build_bare_request
from proxy.providers.kind import Kind
from proxy.providers.passed_request import PassedRequest, build_outbound, find_passed_path
from proxy.providers.probe_answer import find_probed_model, read_probe_answer
from proxy.providers.probe_request import build_free_probe
from proxy.providers.quirks import open_repair
from proxy.providers.thought_notes import NotedRepair
from proxy.wire.answer_events import build_answer_events
from proxy.wire.base import Ask, CheckedAnswer, StreamReader
from proxy.wire.json_text import build_object, encode
from proxy.wire.openai_answer import read_openai_answer
from proxy.wire.openai_stream import OpenAIStream, Repair
from proxy.wire.raw_reasoning import put_thoughts_back
from proxy.wire.responses_answer import read_responses_answer
from proxy.wire.responses_answer_events import build_response_events
from proxy.wire.responses_count import read_input_tokens
from proxy.wire.responses_items import build_passed_fields
from proxy.wire.responses_stream import ResponsesStream

_PROBE = Ask("chat", "", {"messages": Raw(b'[{"role":"user","content":"Hi"}]')})
_COUNTED = frozenset[Operation](("input_tokens",))
RESPONSES_OPERATIONS = frozenset[Operation](("responses", "input_tokens"))
"""Those of the Responses API: where they are no foreign ones, they pass as they come."""
_ASK_USAGE = b'{"include_usage":true}'
_ANY_OBJECT = b'{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"}}}'


class _Format(Struct):
    type: str = ""


_decode_format = msgspec.json.Decoder(_Format).decode
_decode_items = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class OpenAIFormat:
    """A ProviderType (see `providers/base.py`) that one `Kind` describes."""

    stream_type = EVENT_STREAM
    _key_header = AUTHORIZATION
    """Which header the provider's key goes into."""

    def __init__(self, kind: Kind) -> None:
        self.name = kind.type
        self.counts = _COUNTED & kind.operations.keys()
        self._kind = kind

    def build_request(
        self, ask: Ask, deployment: Deployment, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """Return the request to send (see `providers/base.py`)."""
        provider = deployment.provider
        dropped: list[str] = []
        if is_foreign(self._kind, ask.operation):
            path = self._kind.operations["chat"]
            asked = build_chat_ask(ask, self._kind, deployment.model, dropped)
        else:
            path, asked = self._kind.find_path(ask.operation, ask.model), ask
        if asked.operation in RESPONSES_OPERATIONS:
            fields = build_passed_fields(asked, provider.name)
            if deployment.model != ask.model:
                fields["model"] = encode(deployment.model)
        else:
            fields = self._build_fields(asked, deployment, dropped)
        # Assigned, not added to: an earlier attempt elsewhere may have dropped others.
        ask.dropped = dropped
        key_header = build_key_header(provider, self._key_header)
        return OutboundRequest(
            provider=provider.name,
            method="POST",
            url=self._build_url(provider, path, deployment.model),
            headers=build_headers(provider, key_header, trace_headers, streams=ask.streams),
            body=build_object(fields),
            streams=ask.streams,
            clocks=provider.clocks,
            pool=provider.pool,
            model=deployment.model,
        )

    def build_passed_request(
        self, asked: PassedRequest, provider: Provider, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """Return the request to send (see `providers/passed_request.py`)."""
        path = find_passed_path(self._kind, asked)
        url = self._build_passed_url(provider, path, asked.model)
        key_header = build_key_header(provider, self._key_header)
        return build_outbound(asked, provider, url, key_header, trace_headers)

    def find_maker(self, ask: Ask, model: str) -> Maker | None:
        """Return whose thoughts must come back (see `providers/base.py`)."""
        if self._kind.thoughts_as is None:
            return None
        is_said = ask.operation == "chat" or is_foreign(self._kind, ask.operation)
        return "openai" if is_said else None

    def open_stream(self, ask: Ask, max_event_bytes: int) -> StreamReader:
        """Return the reader for one streamed answer (see `providers/base.py`)."""
        repair = self._open_repair(ask)
        if is_foreign(self._kind, ask.operation):
            return open_foreign_stream(ask, max_event_bytes, repair)
        if ask.operation in RESPONSES_OPERATIONS:
            return ResponsesStream(ask, max_event_bytes)
        return OpenAIStream(ask, max_event_bytes, repair)

    def read_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """Check a complete answer (see `providers/base.py`)."""
        if ask.operation == "input_tokens":
            return read_input_tokens(body)
        # Vectors have no quirks, and taking thousands of floats apart is not free.
        repair = None if ask.operation == "embeddings" else self._open_repair(ask)
        if is_foreign(self._kind, ask.operation):
            return read_foreign_answer(ask, body, repair)
        if ask.operation == "responses":
            return read_responses_answer(ask, body)
        return read_openai_answer(ask, body, repair)

    def stream_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """Return a complete answer as a stream (see `providers/base.py`)."""
        if is_foreign(self._kind, ask.operation):
            return read_foreign_answer(ask, body, open_repair(self._kind.quirk), as_stream=True)
        answer = self.read_answer(ask, body)
        if ask.operation == "responses":
            return replace(answer, body=build_response_events(answer.body))
        return replace(answer, body=build_answer_events(ask, answer.body))

    def build_kept_request(
        self, provider: Provider, method: str, path: str, query: str
    ) -> OutboundRequest:
        """Return the request about what is kept there (see `providers/kept_request.py`)."""
        url = self._build_url(provider, self._kind.operations["responses"] + path, "")
        key_header = build_key_header(provider, self._key_header)
        return build_bare_request(provider, method, url, query, key_header)

    def build_probe(self, provider: Provider, clocks: Clocks) -> OutboundRequest | None:
        """Return what to ask to learn how a provider is (see `providers/base.py`)."""
        probe = provider.probe
        if probe.kind == "off" or provider.type == SIMULATOR_TYPE:
            return None
        model = find_probed_model(provider)
        if probe.kind == "completion" and model is not None:
            return self._build_completion(provider, model, clocks)
        key_header = build_key_header(provider, self._key_header)
        return build_free_probe(provider, self._build_probe_url(provider), key_header, clocks)

    def read_probe(self, provider: Provider, status: int, body: bytes) -> ProbeReading:
        """Return what an answer to a probe says (see `providers/base.py`)."""
        return read_probe_answer(self._kind, provider, status, body)

    def _build_completion(self, provider: Provider, model: str, clocks: Clocks) -> OutboundRequest:
        """Return a request for one token, built as any client's is."""
        fields = {"messages": _PROBE.fields["messages"], self._kind.limit_field: Raw(b"1")}
        ask = Ask("chat", model, {"model": Raw(encode(model)), **fields})
        return replace(self.build_request(ask, Deployment(provider, model), {}), clocks=clocks)

    def _open_repair(self, ask: Ask) -> Repair | None:
        """Return fresh repairs, which note thoughts that a client will lose."""
        repair = open_repair(self._kind.quirk)
        if repair is None or self._kind.thoughts_as is None or ask.operation != "chat":
            return repair
        return NotedRepair(repair, ask.kept)

    def _build_url(self, provider: Provider, path: str, model: str) -> str:
        """Return where a model's operation is; some types have the model in it."""
        return provider.base_url + path

    def _build_passed_url(self, provider: Provider, path: str, model: str) -> str:
        """Return where something is passed to; `model` is "" where none is asked for."""
        return self._build_url(provider, path, model)

    def _build_probe_url(self, provider: Provider) -> str:
        path = provider.probe.path or self._kind.health_path
        is_at_root = self._kind.health_at_root and provider.probe.path is None
        base_url = provider.base_url.removesuffix("/v1") if is_at_root else provider.base_url
        return base_url + path

    def _may_ask_usage(self, provider: Provider) -> bool:
        """Return whether a stream's usage is asked for; else it comes unasked, or never."""
        return self._kind.usage_in_streams == "ask"

    def _build_fields(
        self, ask: Ask, deployment: Deployment, dropped: list[str]
    ) -> dict[str, Raw | bytes]:
        kind, model = self._kind, deployment.model
        fields: dict[str, Raw | bytes] = dict(ask.fields)
        if model != ask.model:
            fields["model"] = encode(model)
        for old, new in kind.renames.items():
            if old in fields:
                value = fields.pop(old)
                if _is_null(fields.get(new)):
                    fields[new] = value
        if kind.drops:
            for name in sorted(kind.drops & fields.keys()):
                # Null is "not asked for": nothing is lost with it.
                if not _is_null(fields.pop(name)):
                    dropped.append(name)
        if not self._may_ask_usage(deployment.provider):
            fields.pop("stream_options", None)
        elif ask.streams:
            fields["stream_options"] = _ask_for_usage(fields.get("stream_options"))
        if ask.recalled and kind.thoughts_as is not None:
            fields["messages"] = put_thoughts_back(
                fields["messages"], ask.recalled, kind.thoughts_as
            )
        if not kind.has_json_object and "response_format" in fields:
            fields["response_format"] = _with_schema(fields["response_format"])
        if kind.maps_developer_role and ask.operation == "chat":
            fields["messages"] = _without_developer(fields["messages"])
        return fields


def _is_null(raw: Raw | bytes | None) -> bool:
    return raw is None or bytes(raw) == b"null"


def _ask_for_usage(options: Raw | bytes | None) -> bytes:
    """Return the client's `stream_options` with usage switched on: we always need it."""
    if options is None or _is_null(options):
        return _ASK_USAGE
    return build_object({**_decode_object(options), "include_usage": b"true"})


def _with_schema(wanted: Raw | bytes) -> Raw | bytes:
    """Return a `response_format` of any JSON object as one with a schema that says the same."""
    try:
        kind = _decode_format(wanted).type
    except (ValueError, RecursionError):
        return wanted
    return _ANY_OBJECT if kind == "json_object" else wanted


def _without_developer(messages: Raw | bytes) -> Raw | bytes:
    """Return the messages with the role `developer` written as `system`."""
    if b'"developer"' not in bytes(messages):
        return messages
    items = []
    for item in _decode_items(messages):
        if bytes(item["role"]) == b'"developer"':
            items.append(build_object({**item, "role": b'"system"'}))
        else:
            items.append(build_object(item))
    return b"[" + b",".join(items) + b"]"
