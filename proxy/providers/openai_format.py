"""The provider type behind every row of `openai_compatible.py`: OpenAI's format, made to fit the row."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from proxy.domain.catalog import Deployment
from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import OutboundRequest
from proxy.domain.usage import Usage
from proxy.providers.kind import Kind
from proxy.providers.quirks import open_repair
from proxy.version import __version__
from proxy.wire.base import Ask, StreamReader
from proxy.wire.json_text import build_object, encode
from proxy.wire.openai_answer import read_openai_answer
from proxy.wire.openai_stream import OpenAIStream

_USER_AGENT = f"llm-proxy-api/{__version__}"
_ASK_USAGE = b'{"include_usage":true}'
_decode_items = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class OpenAIFormat:
    """A ProviderType (see `providers/base.py`) that one `Kind` describes."""

    def __init__(self, kind: Kind) -> None:
        self.name = kind.type
        self._kind = kind

    def build_request(
        self, ask: Ask, deployment: Deployment, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """Return the request to send (see `providers/base.py`)."""
        provider = deployment.provider
        path = self._kind.operations.get(ask.operation)
        if path is None:
            raise InvalidRequest(
                f"The provider of '{ask.model}' ({self._kind.title}) offers no {ask.operation}.",
                param="model",
                code="unsupported_operation",
            )
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if ask.streams else "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": _USER_AGENT,
            **trace_headers,
            **provider.headers,
        }
        if provider.api_key is not None:
            headers["Authorization"] = "Bearer " + provider.api_key.reveal()
        return OutboundRequest(
            provider=provider.name,
            method="POST",
            url=provider.base_url + path,
            headers=headers,
            body=build_object(self._build_fields(ask, deployment.model)),
            streams=ask.streams,
            clocks=provider.clocks,
            pool=provider.pool,
            model=deployment.model,
        )

    def open_stream(self, ask: Ask, max_event_bytes: int) -> StreamReader:
        """Return the reader for one streamed answer (see `providers/base.py`)."""
        return OpenAIStream(ask, max_event_bytes, open_repair(self._kind.quirk))

    def read_answer(self, ask: Ask, body: bytes) -> tuple[bytes, Usage | None]:
        """Check a complete answer (see `providers/base.py`)."""
        return read_openai_answer(ask, body, open_repair(self._kind.quirk))

    def _build_fields(self, ask: Ask, model: str) -> dict[str, Raw | bytes]:
        kind = self._kind
        fields: dict[str, Raw | bytes] = dict(ask.fields)
        if model != ask.model:
            fields["model"] = encode(model)
        for old, new in kind.renames.items():
            if old in fields:
                value = fields.pop(old)
                fields.setdefault(new, value)
        for name in kind.drops & fields.keys():
            del fields[name]
            ask.dropped.append(name)
        if ask.streams and kind.usage_in_streams == "ask":
            fields["stream_options"] = _ask_for_usage(fields.get("stream_options"))
        if kind.maps_developer_role and ask.operation == "chat":
            fields["messages"] = _without_developer(fields["messages"])
        return fields


def _ask_for_usage(options: Raw | bytes | None) -> bytes:
    """Return the client's `stream_options` with usage switched on: we always need it."""
    if options is None or bytes(options) == b"null":
        return _ASK_USAGE
    return build_object({**_decode_object(options), "include_usage": b"true"})


def _without_developer(messages: Raw | bytes) -> Raw | bytes:
    """Return the messages with the role `developer` written as `system`."""
    if b'"developer"' not in bytes(messages):
        return messages
    items = [
        build_object({**item, "role": b'"system"'}) if bytes(item.get("role", b"")) == b'"developer"' else build_object(item)
        for item in _decode_items(messages)
    ]
    return b"[" + b",".join(items) + b"]"
