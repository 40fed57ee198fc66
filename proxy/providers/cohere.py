"""
The provider type `cohere`: Cohere's own API, in its second version.

No client speaks its dialect of chats, so every request is written anew and every answer is
translated; what that means for each field stands in `wire/cohere_chat_writer.py` and its
neighbours.

Source: wire-formats §3.3; docs/providers.md says what could not be verified.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.chat import Maker
from proxy.domain.exchange import Operation, OutboundRequest
from proxy.domain.health import ProbeReading
from proxy.domain.settings import Clocks
from proxy.providers.chat_probe import build_chat_probe, read_chat_probe
from proxy.providers.headers import AUTHORIZATION, EVENT_STREAM, build_headers, build_key_header
from proxy.providers.kind import READ_AS_CHAT, Kind
from proxy.providers.passed_request import PassedRequest, build_outbound, find_passed_path
from proxy.wire.base import Ask, CheckedAnswer, StreamReader
from proxy.wire.cohere_chat_writer import write_cohere_chat
from proxy.wire.cohere_events import CohereEvents, read_cohere_events
from proxy.wire.cohere_vectors import read_cohere_vectors, write_cohere_vectors
from proxy.wire.dialects import find_dialect, read_chat
from proxy.wire.translated_answer import translate_answer
from proxy.wire.translated_stream import TranslatedStream

_VERSIONS = ("/v1", "/v2")
"""What some set behind the address; each path has the version that it is of itself."""

COHERE = Kind(
    type="cohere",
    title="Cohere",
    base_url="https://api.cohere.com",
    key_variables=("COHERE_API_KEY", "CO_API_KEY"),
    appends_v1=False,
    operations={**dict.fromkeys(READ_AS_CHAT, "/v2/chat"), "embeddings": "/v2/embed"},
    # The longest page: one of the usual length would lack some of the models that are listed.
    health_path="/v1/models?page_size=1000",
    health_states={498: "key_rejected"},
    usage_in_streams="always",
    passes=MappingProxyType({"rerank": "/v2/rerank"}),
)


class Cohere:
    """A ProviderType (see `providers/base.py`)."""

    name = COHERE.type
    stream_type = EVENT_STREAM
    counts = frozenset[Operation]()

    def build_request(
        self, ask: Ask, deployment: Deployment, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """Return the request to send (see `providers/base.py`)."""
        provider = deployment.provider
        path = COHERE.find_path(ask.operation, ask.model)
        dropped: list[str] = []
        if ask.operation == "embeddings":
            body = write_cohere_vectors(ask, deployment.model, dropped)
        else:
            body = write_cohere_chat(read_chat(ask), deployment.model, dropped)
        # Assigned, not added to: an earlier attempt elsewhere may have dropped others.
        ask.dropped = dropped
        key_header = build_key_header(provider, AUTHORIZATION)
        return OutboundRequest(
            provider=provider.name,
            method="POST",
            url=find_root(provider) + path,
            headers=build_headers(provider, key_header, trace_headers, streams=ask.streams),
            body=body,
            streams=ask.streams,
            clocks=provider.clocks,
            pool=provider.pool,
            model=deployment.model,
        )

    def build_passed_request(
        self, asked: PassedRequest, provider: Provider, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """Return the request to send (see `providers/passed_request.py`)."""
        url = find_root(provider) + find_passed_path(COHERE, asked)
        key_header = build_key_header(provider, AUTHORIZATION)
        return build_outbound(asked, provider, url, key_header, trace_headers)

    def find_maker(self, ask: Ask, model: str) -> Maker | None:
        """Return whose thoughts must come back: nobody's (see `providers/base.py`)."""
        return None

    def open_stream(self, ask: Ask, max_event_bytes: int) -> StreamReader:
        """Return the reader for one streamed answer (see `providers/base.py`)."""
        writer = find_dialect(ask.operation).open_writer(ask)
        return TranslatedStream(ask, CohereEvents(max_event_bytes), writer)

    def read_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """Check a complete answer (see `providers/base.py`)."""
        if ask.operation == "embeddings":
            return read_cohere_vectors(ask, body)
        events, anomalies = read_cohere_events(body)
        return translate_answer(ask, events, anomalies)

    def stream_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """Return a complete answer as a stream (see `providers/base.py`)."""
        events, anomalies = read_cohere_events(body)
        return translate_answer(ask, events, anomalies, as_stream=True)

    def build_probe(self, provider: Provider, clocks: Clocks) -> OutboundRequest | None:
        """Return what to ask to learn how a provider is (see `providers/base.py`)."""
        return build_chat_probe(self, COHERE, provider, find_root(provider), AUTHORIZATION, clocks)

    def read_probe(self, provider: Provider, status: int, body: bytes) -> ProbeReading:
        """Return what an answer to a probe says (see `providers/base.py`)."""
        return read_chat_probe(COHERE, provider, status, body, _is_completion)


def find_root(provider: Provider) -> str:
    """Return the address that Cohere's paths stand behind, without a version."""
    url = provider.base_url.rstrip("/")
    return next((url.removesuffix(end) for end in _VERSIONS if url.endswith(end)), url)


def _is_completion(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("message"), dict)
