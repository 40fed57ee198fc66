"""
The provider type `anthropic`: Anthropic's Messages API, and whoever else offers it.

Clients of the same dialect get its bytes as they come; for all others requests are written, and
answers read, by way of `domain/chat.py` and `domain/events.py`.

Source: wire-formats §3.1; docs/providers.md says what could not be verified.
"""

import re
from collections.abc import Mapping

from msgspec import Raw
from msgspec.structs import replace

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.chat import Maker
from proxy.domain.exchange import Operation, OutboundRequest
from proxy.domain.health import ProbeReading
from proxy.domain.settings import Clocks
from proxy.providers.headers import EVENT_STREAM, build_headers, build_key_header
from proxy.providers.kind import READ_AS_CHAT, Kind
from proxy.providers.probe_answer import find_probed_model, read_probe_answer
from proxy.providers.probe_request import build_free_probe
from proxy.wire.anthropic_chat_writer import find_unwrapped, write_anthropic_chat
from proxy.wire.anthropic_events import AnthropicEvents, read_anthropic_events
from proxy.wire.anthropic_loops import answers_foreign_call, lacks_thoughts
from proxy.wire.anthropic_stream import AnthropicStream, read_anthropic_answer, read_token_count
from proxy.wire.base import Ask, CheckedAnswer, StreamReader
from proxy.wire.dialects import find_dialect, read_chat
from proxy.wire.foreign_thoughts import strip_foreign_thoughts
from proxy.wire.json_text import build_object, encode
from proxy.wire.translated_answer import translate_answer
from proxy.wire.translated_stream import TranslatedStream

ANTHROPIC = Kind(
    type="anthropic",
    title="Anthropic",
    base_url="https://api.anthropic.com/v1",
    key_variables=("ANTHROPIC_API_KEY",),
    operations={
        **dict.fromkeys(READ_AS_CHAT, "/messages"),
        "count_tokens": "/messages/count_tokens",
    },
    # A page of the usual length would lack some of the models that an operator has listed.
    health_path="/models?limit=1000",
    has_versions=True,
)

USUAL_VERSION = "2023-06-01"
"""The version that all its models, and all who offer its API besides, understand."""
_OWN_DIALECT = frozenset(("messages", "count_tokens"))
_KEY_HEADER = "x-api-key"
_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BETA = re.compile(r"[\w., :-]{1,1024}", re.ASCII)
_PROBE_MESSAGES = Raw(b'[{"role":"user","content":"Hi"}]')


class Anthropic:
    """A ProviderType (see `providers/base.py`)."""

    name = ANTHROPIC.type
    stream_type = EVENT_STREAM
    counts: frozenset[Operation] = frozenset(("count_tokens",))

    def build_request(
        self, ask: Ask, deployment: Deployment, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """Return the request to send (see `providers/base.py`)."""
        provider, model = deployment.provider, deployment.model
        path = ANTHROPIC.find_path(ask.operation, ask.model)
        dropped: list[str] = []
        fields: dict[str, Raw | bytes]
        if ask.operation in _OWN_DIALECT:
            version = _find_version(ask, provider)
            fields = _pass_fields(ask, dropped)
            if model != ask.model:
                fields["model"] = encode(model)
        else:
            version = provider.api_version or USUAL_VERSION
            fields = write_anthropic_chat(read_chat(ask), model, version, dropped)
        # Assigned, not added to: an earlier attempt elsewhere may have dropped others.
        ask.dropped = dropped
        more = {**trace_headers, "anthropic-version": version, **_pass_beta(ask)}
        key_header = build_key_header(provider, _KEY_HEADER)
        return OutboundRequest(
            provider=provider.name,
            method="POST",
            url=_complete_url(provider, path),
            headers=build_headers(provider, key_header, more, streams=ask.streams),
            body=build_object(fields),
            streams=ask.streams,
            clocks=provider.clocks,
            pool=provider.pool,
            model=model,
        )

    def find_maker(self, ask: Ask, model: str) -> Maker | None:
        """Return whose thoughts must come back (see `providers/base.py`)."""
        if ask.operation in _OWN_DIALECT:
            return None  # its clients send them themselves
        chat = read_chat(ask)
        wanted = chat.reasoning
        thinks = "thinking" in chat.extra or (wanted is not None and wanted.effort != "none")
        return "anthropic" if thinks else None

    def open_stream(self, ask: Ask, max_event_bytes: int) -> StreamReader:
        """Return the reader for one streamed answer (see `providers/base.py`)."""
        if ask.operation in _OWN_DIALECT:
            return AnthropicStream(ask, max_event_bytes)
        reader = AnthropicEvents(max_event_bytes, find_unwrapped(read_chat(ask)))
        return TranslatedStream(ask, reader, find_dialect(ask.operation).open_writer(ask))

    def read_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """Check a complete answer (see `providers/base.py`)."""
        if ask.operation == "count_tokens":
            return read_token_count(body)
        if ask.operation == "messages":
            return read_anthropic_answer(ask, body)
        events, anomalies = read_anthropic_events(body, find_unwrapped(read_chat(ask)))
        return translate_answer(ask, events, anomalies)

    def stream_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """Return a complete answer as a stream (see `providers/base.py`)."""
        is_own = ask.operation in _OWN_DIALECT
        unwraps = None if is_own else find_unwrapped(read_chat(ask))
        events, anomalies = read_anthropic_events(body, unwraps)
        return translate_answer(ask, events, anomalies, as_stream=True)

    def build_probe(self, provider: Provider, clocks: Clocks) -> OutboundRequest | None:
        """Return what to ask to learn how a provider is (see `providers/base.py`)."""
        probe = provider.probe
        if probe.kind == "off":
            return None
        model = find_probed_model(provider)
        if probe.kind == "completion" and model is not None:
            return self._build_completion(provider, model, clocks)
        version = {"anthropic-version": provider.api_version or USUAL_VERSION}
        usual = _complete_url(provider, ANTHROPIC.health_path)
        url = usual if probe.path is None else provider.base_url + probe.path
        key_header = build_key_header(provider, _KEY_HEADER)
        return build_free_probe(provider, url, key_header, clocks, version)

    def read_probe(self, provider: Provider, status: int, body: bytes) -> ProbeReading:
        """Return what an answer to a probe says (see `providers/base.py`)."""
        return read_probe_answer(ANTHROPIC, provider, status, body)

    def _build_completion(self, provider: Provider, model: str, clocks: Clocks) -> OutboundRequest:
        """Return a request for one token, built as any client's is."""
        fields = {
            "model": Raw(encode(model)),
            "max_tokens": Raw(b"1"),
            "messages": _PROBE_MESSAGES,
        }
        ask = Ask("messages", model, fields)
        return replace(self.build_request(ask, Deployment(provider, model), {}), clocks=clocks)


def _complete_url(provider: Provider, path: str) -> str:
    """Return where a path stands: behind `/v1`, which Anthropic's own SDKs add as well."""
    return provider.base_url.removesuffix("/v1") + "/v1" + path


def _pass_fields(ask: Ask, dropped: list[str]) -> dict[str, Raw | bytes]:
    """Return a request's fields as they came, without what only other vendors can read."""
    fields: dict[str, Raw | bytes] = dict(ask.fields)
    if bytes(ask.fields.get("system", b"")) == b'""':
        # So LlamaIndex says that there is none; Anthropic may take it for an empty block of text.
        del fields["system"]
    messages = ask.fields.get("messages")
    if messages is None:
        return fields
    stripped = strip_foreign_thoughts(messages)
    fields["messages"] = stripped
    is_on = b'"disabled"' not in bytes(ask.fields.get("thinking", b'"disabled"'))
    is_foreign = stripped is not messages or answers_foreign_call(stripped)
    if is_on and is_foreign and lacks_thoughts(stripped):
        del fields["thinking"]
        dropped.append("thinking")
    return fields


def _find_version(ask: Ask, provider: Provider) -> str:
    """Return the version that a client's body is written in, else the one that is configured."""
    said = ask.passed_headers.get("anthropic-version", "")
    return said if _VERSION.fullmatch(said) else provider.api_version or USUAL_VERSION


def _pass_beta(ask: Ask) -> dict[str, str]:
    beta = ask.passed_headers.get("anthropic-beta", "")
    is_passed = ask.operation in _OWN_DIALECT and _BETA.fullmatch(beta)
    return {"anthropic-beta": beta} if is_passed else {}
