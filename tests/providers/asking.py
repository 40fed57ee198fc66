"""An ask and a deployment for every type of provider."""

import json
from typing import Any

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.exchange import Operation, OutboundRequest
from proxy.domain.secret import Secret
from proxy.providers.registry import find_kind, find_type
from proxy.wire.base import Ask
from proxy.wire.openai_request import parse_ask

BASE_URL = "http://127.0.0.1:9/v1"
MESSAGES = [{"role": "user", "content": "hi"}]
LEAST: dict[Operation, dict[str, Any]] = {
    "chat": {"messages": MESSAGES},
    "completions": {"prompt": "hi"},
    "embeddings": {"input": "hi"},
}


def ask_for(operation: Operation = "chat", **fields: Any) -> Ask:
    body = {"model": "alias", **LEAST[operation], **fields}
    return parse_ask(operation, json.dumps(body).encode())


def deployment_of(type_name: str, **more: Any) -> Deployment:
    kind = find_kind(type_name)
    assert kind is not None
    provider = Provider(
        name="it",
        type=type_name,
        base_url=kind.base_url or BASE_URL,
        **{"api_key": Secret("sk-canary"), **more},
    )
    return Deployment(provider, "model-x")


def build(type_name: str, ask: Ask, **more: Any) -> OutboundRequest:
    return find_type(type_name).build_request(ask, deployment_of(type_name, **more), {})


def sent(type_name: str, ask: Ask) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(build(type_name, ask).body)
    return body
