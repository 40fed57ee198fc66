"""
The provider type `ollama`: Ollama's own API, at which a request says how much context it needs.

Clients of the same dialect get its lines as they come; for all others requests are written, and
answers read, by way of `domain/chat.py` and `domain/events.py`. Who wants Ollama's imitation of
OpenAI's API, which cannot be told the window, uses the type `openai_compatible`.

Source: wire-formats §3.4; docs/providers.md says what could not be verified.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.chat import Maker
from proxy.domain.events import Event
from proxy.domain.exchange import Anomaly, Operation, OutboundRequest
from proxy.domain.health import ProbeReading
from proxy.domain.settings import Clocks
from proxy.providers.chat_probe import build_chat_probe, read_chat_probe
from proxy.providers.headers import AUTHORIZATION, build_headers, build_key_header
from proxy.providers.kind import READ_AS_CHAT, Kind
from proxy.wire.base import Ask, CheckedAnswer, StreamReader
from proxy.wire.context_window import WindowBounds
from proxy.wire.dialect import EventReader, EventWriter
from proxy.wire.dialects import find_dialect, read_chat
from proxy.wire.forced_call import ForcedCall, find_forced, read_forced
from proxy.wire.ndjson import NDJSON
from proxy.wire.ollama_chat_writer import write_ollama_chat
from proxy.wire.ollama_events import OllamaEvents, read_ollama_events
from proxy.wire.ollama_pass import PassedLines, build_passed_body, read_passed_answer
from proxy.wire.ollama_vectors import read_ollama_vectors, write_ollama_vectors
from proxy.wire.translated_answer import translate_answer
from proxy.wire.translated_stream import TranslatedStream

_CHAT = "/api/chat"
_SURFACES = ("/v1", "/api")
"""What an address may end with, and the paths of this type begin without."""
_OWN_DIALECT = frozenset[Operation](("ollama_chat", "ollama_generate"))
_ACCEPT = {"Accept": NDJSON}

OLLAMA = Kind(
    type="ollama",
    title="Ollama",
    base_url="http://127.0.0.1:11434",
    key_variables=("OLLAMA_API_KEY",),
    needs_key=False,
    is_local=True,
    appends_v1=False,
    operations=MappingProxyType(
        {
            **dict.fromkeys(READ_AS_CHAT, _CHAT),
            "ollama_generate": "/api/generate",
            "embeddings": "/api/embed",
        }
    ),
    health_path="/api/tags",
    limit_field="num_predict",
    usage_in_streams="always",
    has_context_window=True,
)


class Ollama:
    """A ProviderType (see `providers/base.py`)."""

    name = OLLAMA.type
    stream_type = NDJSON
    counts: frozenset[Operation] = frozenset()

    def build_request(
        self, ask: Ask, deployment: Deployment, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """Return the request to send (see `providers/base.py`)."""
        provider, model = deployment.provider, deployment.model
        path = OLLAMA.find_path(ask.operation, ask.model)
        dropped: list[str] = []
        if ask.operation == "embeddings":
            body = write_ollama_vectors(ask, model, _find_bounds(deployment), dropped)
        elif ask.operation in _OWN_DIALECT:
            body = build_passed_body(ask, model, _find_bounds(deployment))
        else:
            body = write_ollama_chat(read_chat(ask), model, _find_bounds(deployment), dropped)
        # Assigned, not added to: an earlier attempt elsewhere may have dropped others.
        ask.dropped = dropped
        key_header = build_key_header(provider, AUTHORIZATION)
        more = {**_ACCEPT, **trace_headers} if ask.streams else trace_headers
        return OutboundRequest(
            provider=provider.name,
            method="POST",
            url=find_root(provider) + path,
            headers=build_headers(provider, key_header, more, streams=ask.streams),
            body=body,
            streams=ask.streams,
            clocks=provider.clocks,
            pool=provider.pool,
            model=model,
        )

    def find_maker(self, ask: Ask, model: str) -> Maker | None:
        """Return nobody: it takes thoughts back, and does without them."""
        return None

    def open_stream(self, ask: Ask, max_event_bytes: int) -> StreamReader:
        """Return the reader for one streamed answer (see `providers/base.py`)."""
        is_passed = ask.operation in _OWN_DIALECT
        lines = OllamaEvents(ask, max_event_bytes, keeps_lines=is_passed)
        reader: EventReader = lines
        writer: EventWriter
        if is_passed:
            writer = PassedLines(lines)
        else:
            forced = find_forced(read_chat(ask))
            reader = lines if forced is None else ForcedCall(forced, lines)
            writer = find_dialect(ask.operation).open_writer(ask)
        return TranslatedStream(ask, reader, writer)

    def read_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """Check a complete answer (see `providers/base.py`)."""
        if ask.operation == "embeddings":
            return read_ollama_vectors(ask, body)
        if ask.operation in _OWN_DIALECT:
            return read_passed_answer(ask, body)
        events, anomalies = _read_events(ask, body)
        return translate_answer(ask, events, anomalies)

    def stream_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """Return a complete answer as a stream (see `providers/base.py`)."""
        if ask.operation in _OWN_DIALECT:
            return read_passed_answer(ask, body)
        events, anomalies = _read_events(ask, body)
        return translate_answer(ask, events, anomalies, as_stream=True)

    def build_probe(self, provider: Provider, clocks: Clocks) -> OutboundRequest | None:
        """Return what to ask to learn how a provider is (see `providers/base.py`)."""
        return build_chat_probe(self, OLLAMA, provider, find_root(provider), AUTHORIZATION, clocks)

    def read_probe(self, provider: Provider, status: int, body: bytes) -> ProbeReading:
        """Return what an answer to a probe says (see `providers/base.py`)."""
        return read_chat_probe(OLLAMA, provider, status, body, _is_completion)


def find_root(provider: Provider) -> str:
    """Return the address of the server, whichever of its surfaces `base_url` names."""
    url = provider.base_url.rstrip("/")
    for surface in _SURFACES:
        url = url.removesuffix(surface)
    return url


def _read_events(ask: Ask, body: bytes) -> tuple[list[Event], tuple[Anomaly, ...]]:
    events, anomalies = read_ollama_events(ask, body)
    forced = find_forced(read_chat(ask))
    return events if forced is None else read_forced(forced, events), anomalies


def _find_bounds(deployment: Deployment) -> WindowBounds:
    provider, known = deployment.provider, deployment.info.max_input_tokens
    highest = provider.max_context_tokens
    return WindowBounds(
        provider.min_context_tokens, highest if known is None else min(known, highest)
    )


def _is_completion(value: Mapping[str, Any]) -> bool:
    return value.get("done") is True and "message" in value
