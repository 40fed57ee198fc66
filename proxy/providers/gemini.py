"""
The provider type `gemini`: Google's own API of Gemini, by which model a request is for its path.

No client speaks its dialect, so every request is written anew and every answer is translated;
what that means for each field stands in `wire/gemini_chat_writer.py` and its neighbours.

Source: wire-formats §3.2; docs/providers.md says what could not be verified.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Raw, Struct

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.chat import Maker
from proxy.domain.errors import UpstreamProtocolError
from proxy.domain.exchange import Operation, OutboundRequest
from proxy.domain.health import ProbeReading
from proxy.domain.settings import Clocks
from proxy.domain.usage import Usage
from proxy.providers.chat_probe import build_chat_probe, read_chat_probe
from proxy.providers.headers import EVENT_STREAM, build_headers, build_key_header
from proxy.providers.kind import READ_AS_CHAT, Kind
from proxy.wire.anthropic_count import build_token_count
from proxy.wire.base import Ask, CheckedAnswer, StreamReader
from proxy.wire.dialects import find_dialect, read_chat
from proxy.wire.gemini_chat_writer import write_gemini_chat, write_gemini_count
from proxy.wire.gemini_events import GeminiEvents, read_gemini_events
from proxy.wire.gemini_models import read_model
from proxy.wire.gemini_vectors import read_gemini_vectors, write_gemini_vectors
from proxy.wire.openai_error import NO_VALUE, check_no_error
from proxy.wire.translated_answer import translate_answer
from proxy.wire.translated_stream import TranslatedStream

_GENERATE = ":generateContent"
_STREAM = ":streamGenerateContent?alt=sse"
_USUAL_VERSION = "v1beta"
_VERSIONS = ("/v1beta", "/v1alpha", "/v1")
_KEY_HEADER = "x-goog-api-key"
_PREFIX = "models/"
"""What Google's own list has in front of each name."""
_BAD_KEY = b"API_KEY_INVALID"

GEMINI = Kind(
    type="gemini",
    title="Google Gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    appends_v1=False,
    operations=MappingProxyType(
        {
            **dict.fromkeys(READ_AS_CHAT, _GENERATE),
            "count_tokens": ":countTokens",
            "embeddings": ":batchEmbedContents",
        }
    ),
    health_path="/models?pageSize=1",
    limit_field="maxOutputTokens",
    usage_in_streams="always",
    has_versions=True,
)


class _Count(Struct, rename="camel"):
    total_tokens: int | None = None
    error: Raw = NO_VALUE


_decode_count = msgspec.json.Decoder(_Count).decode


class Gemini:
    """A ProviderType (see `providers/base.py`)."""

    name = GEMINI.type
    stream_type = EVENT_STREAM
    counts: frozenset[Operation] = frozenset(("count_tokens",))

    def build_request(
        self, ask: Ask, deployment: Deployment, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """Return the request to send (see `providers/base.py`)."""
        operation = GEMINI.find_path(ask.operation, ask.model)
        model = deployment.model.removeprefix(_PREFIX)
        dropped: list[str] = []
        if ask.operation == "embeddings":
            body = write_gemini_vectors(ask, model, dropped)
        elif ask.operation == "count_tokens":
            body = write_gemini_count(read_chat(ask), model)
        else:
            body = write_gemini_chat(read_chat(ask), model, dropped)
            operation = _STREAM if ask.streams else operation
        # Assigned, not added to: an earlier attempt elsewhere may have dropped others.
        ask.dropped = dropped
        provider = deployment.provider
        key_header = build_key_header(provider, _KEY_HEADER)
        return OutboundRequest(
            provider=provider.name,
            method="POST",
            url=_build_model_url(provider, model) + operation,
            headers=build_headers(provider, key_header, trace_headers, streams=ask.streams),
            body=body,
            streams=ask.streams,
            clocks=provider.clocks,
            pool=provider.pool,
            model=deployment.model,
        )

    def find_maker(self, ask: Ask, model: str) -> Maker | None:
        """Return whose thoughts must come back (see `providers/base.py`)."""
        is_said = ask.operation in READ_AS_CHAT
        return "gemini" if is_said and read_model(model).wants_signatures else None

    def open_stream(self, ask: Ask, max_event_bytes: int) -> StreamReader:
        """Return the reader for one streamed answer (see `providers/base.py`)."""
        reader = GeminiEvents(ask.choices, max_event_bytes)
        return TranslatedStream(ask, reader, find_dialect(ask.operation).open_writer(ask))

    def read_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """Check a complete answer (see `providers/base.py`)."""
        if ask.operation == "embeddings":
            return read_gemini_vectors(ask, body)
        if ask.operation == "count_tokens":
            return _read_count(body)
        return self._translate(ask, body, as_stream=False)

    def stream_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """Return a complete answer as a stream (see `providers/base.py`)."""
        return self._translate(ask, body, as_stream=True)

    def build_probe(self, provider: Provider, clocks: Clocks) -> OutboundRequest | None:
        """Return what to ask to learn how a provider is (see `providers/base.py`)."""
        return build_chat_probe(self, GEMINI, provider, _find_root(provider), _KEY_HEADER, clocks)

    def read_probe(self, provider: Provider, status: int, body: bytes) -> ProbeReading:
        """Return what an answer to a probe says (see `providers/base.py`)."""
        if status == 400 and _BAD_KEY in body:
            return read_chat_probe(GEMINI, provider, 401, body, _is_completion)
        reading = read_chat_probe(GEMINI, provider, status, body, _is_completion)
        # One model of its list was asked for: which others there are is not known by it.
        return ProbeReading(reading.state, "answers") if reading.models else reading

    def _translate(self, ask: Ask, body: bytes, *, as_stream: bool) -> CheckedAnswer:
        events, anomalies = read_gemini_events(body, ask.choices)
        return translate_answer(ask, events, anomalies, as_stream=as_stream)


def _find_root(provider: Provider) -> str:
    """Return the address with the version of the API in it."""
    url, version = provider.base_url, provider.api_version
    if not urlsplit(url).path.strip("/"):
        return f"{url.rstrip('/')}/{version or _USUAL_VERSION}"
    if version is None:
        return url
    # What is set has an effect: it stands for the version that the path ends with, or behind it.
    ends = next((end for end in (*_VERSIONS, f"/{version}") if url.endswith(end)), "")
    return f"{url.removesuffix(ends)}/{version}"


def _build_model_url(provider: Provider, model: str) -> str:
    # A client may have made the name up: quoted it is one step of the path, whatever is in it,
    # and never `..`, as the operation follows in the same step.
    return f"{_find_root(provider)}/{_PREFIX}{quote(model, safe='')}"


def _read_count(body: bytes) -> CheckedAnswer:
    try:
        count = _decode_count(body)
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    check_no_error(count.error, None, body)
    if count.total_tokens is None or count.total_tokens < 0:
        raise UpstreamProtocolError()
    # Counting costs nothing.
    return CheckedAnswer(build_token_count(count.total_tokens), Usage(0, 0))


def _is_completion(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("candidates"), list)
