"""
Probes of types whose format is written and read by way of `domain/chat.py` alone: what Cohere,
Gemini and Ollama are asked to learn how they are, and what their answers say.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.chat import ChatRequest, Message, Text
from proxy.domain.exchange import OutboundRequest
from proxy.domain.health import ProbeReading
from proxy.domain.settings import Clocks
from proxy.providers.base import ProviderType
from proxy.providers.headers import build_key_header
from proxy.providers.kind import Kind
from proxy.providers.probe_answer import find_probed_model, read_probe_answer
from proxy.providers.probe_request import build_free_probe
from proxy.wire.base import Ask

_HI = ChatRequest((Message("user", (Text("Hi"),)),), max_tokens=1)


def build_chat_probe(
    provider_type: ProviderType,
    kind: Kind,
    provider: Provider,
    root: str,
    key_name: str,
    clocks: Clocks,
) -> OutboundRequest | None:
    """
    Return what to send to learn how a provider is (see `ProviderType.build_probe`).

    Args:
        provider_type: builds a request for one token, as it builds any client's.
        kind: of the provider; its `health_path` stands behind `root`.
        provider: whom to ask.
        root: the address that paths of its type stand behind; a path of the operator's own
            stands behind `base_url`.
        key_name: the header that its key goes into.
        clocks: of the request.
    """
    probe = provider.probe
    if probe.kind == "off":
        return None
    model = find_probed_model(provider)
    if probe.kind == "completion" and model is not None:
        ask = Ask("chat", model, {}, chat=_HI)
        request = provider_type.build_request(ask, Deployment(provider, model), {})
        return replace(request, clocks=clocks)
    path = probe.path or kind.health_path
    url = (root if probe.path is None else provider.base_url) + path
    return build_free_probe(provider, url, build_key_header(provider, key_name), clocks)


def read_chat_probe(
    kind: Kind,
    provider: Provider,
    status: int,
    body: bytes,
    is_completion: Callable[[Mapping[str, Any]], bool],
) -> ProbeReading:
    """
    Return what an answer to `build_chat_probe` says (see `ProviderType.read_probe`).

    Args:
        kind: of the provider.
        provider: the one that was asked, as it was asked.
        status: of the answer.
        body: of the answer.
        is_completion: tells by its members whether an object is a completion of its format. One
            token may all have gone into thoughts: what counts is that it has answered.
    """
    was_completion = provider.probe.kind == "completion" and find_probed_model(provider)
    if not was_completion or not 200 <= status < 300:
        return read_probe_answer(kind, provider, status, body)
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and is_completion(value):
        return ProbeReading("healthy", "completes")
    return ProbeReading("unhealthy", "its answer is no completion")
