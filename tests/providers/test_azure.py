"""Tests of `proxy/providers/azure.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.errors import NotOffered
from proxy.domain.exchange import OutboundRequest
from proxy.domain.health import ProbeSettings
from proxy.domain.secret import Secret
from proxy.domain.settings import Clocks
from proxy.providers.registry import find_type
from proxy.wire.base import Ask
from tests.providers.asking import ask_for
from tests.wire.chunks import DONE, HI, STOP, event
from tests.wire.splits import every_cut, read_all

ROOT = "https://res.openai.azure.com"
DATED = "2024-10-21"
FILTERS = {"hate": {"filtered": False, "severity": "safe"}}
FIRST = event(
    {
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FILTERS}],
    }
)
AZURE = find_type("azure")


def provider(base_url: str = ROOT, **more: Any) -> Provider:
    return Provider("it", "azure", base_url, **{"api_key": Secret("sk-canary"), **more})


def build(model: str = "my gpt/4", operation: Any = "chat", **more: Any) -> OutboundRequest:
    fields = more.pop("fields", {})
    deployment = Deployment(provider(**more), model)
    return AZURE.build_request(ask_for(operation, **fields), deployment, {})


@pytest.mark.parametrize("base_url", [ROOT, ROOT + "/openai", ROOT + "/openai/v1"])
@pytest.mark.parametrize(
    ("version", "url"),
    [
        (None, "/openai/v1/chat/completions"),
        ("v1", "/openai/v1/chat/completions"),
        ("latest", "/openai/v1/chat/completions"),
        ("preview", "/openai/v1/chat/completions?api-version=preview"),
        (DATED, f"/openai/deployments/my%20gpt%2F4/chat/completions?api-version={DATED}"),
    ],
)
def test_the_version_says_which_surface_is_asked(
    base_url: str, version: str | None, url: str
) -> None:
    """A dated version has the deployment in the path, quoted; else it is in the body."""
    request = build(base_url=base_url, api_version=version)
    assert request.url == ROOT + url
    assert json.loads(request.body)["model"] == "my gpt/4"


@pytest.mark.parametrize(
    ("operation", "path"), [("completions", "completions"), ("embeddings", "embeddings")]
)
def test_other_operations_have_deployments_too(operation: str, path: str) -> None:
    """Completions and embeddings go to paths of their own below the deployment's."""
    request = build("d", operation, api_version=DATED)
    assert request.url == f"{ROOT}/openai/deployments/d/{path}?api-version={DATED}"


@pytest.mark.parametrize(
    ("version", "url"),
    [(None, "/openai/v1/responses"), (DATED, f"/openai/responses?api-version={DATED}")],
)
def test_responses_name_their_deployment_in_the_body(version: str | None, url: str) -> None:
    """Neither surface has it in the path, and the request passes as it came."""
    ask = Ask("responses", "alias", {"model": Raw(b'"alias"'), "input": Raw(b'"Hi"')})
    request = AZURE.build_request(ask, Deployment(provider(api_version=version), "my gpt/4"), {})
    assert request.url == ROOT + url
    assert json.loads(request.body) == {"model": "my gpt/4", "input": "Hi"}


@pytest.mark.parametrize("model", [".", ".."])
def test_no_name_leads_out_of_the_deployments(model: str) -> None:
    """Names that mean another path are refused; on the other surface they are only names."""
    with pytest.raises(NotOffered) as refusal:
        build(model, api_version=DATED)
    assert refusal.value.param == "model"
    assert build(model).url == f"{ROOT}/openai/v1/chat/completions"


def test_the_key_goes_where_the_operator_says() -> None:
    """`api-key` unless `auth: bearer`, never both, and nothing without a key."""
    usual, bearer, none = build(), build(auth="bearer"), build(api_key=None)
    assert usual.headers["api-key"] == "sk-canary"
    assert "Authorization" not in usual.headers
    assert bearer.headers["Authorization"] == "Bearer sk-canary"
    assert "api-key" not in bearer.headers
    assert not {"api-key", "Authorization"} & none.headers.keys()


@pytest.mark.parametrize(
    ("version", "is_asked"),
    [(None, True), ("2024-09-01-preview", True), (DATED, True), ("2024-06-01", False)],
)
def test_usage_is_asked_for_where_the_version_knows_it(version: str | None, is_asked: bool) -> None:
    """Before September 2024 `stream_options` is left out of a stream's request."""
    fields = {"stream": True, "stream_options": {"include_usage": True}}
    body = json.loads(build(api_version=version, fields=fields).body)
    assert ("stream_options" in body) is is_asked


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({}, "/openai/v1/models"),
        ({"api_version": DATED}, f"/openai/models?api-version={DATED}"),
        ({"api_version": DATED, "probe": ProbeSettings(path="/ping")}, "/ping"),
    ],
)
def test_a_probe_asks_for_the_list_of_models(more: dict[str, Any], url: str) -> None:
    """Either surface has a list; the operator's own path goes before it."""
    request = AZURE.build_probe(provider(**more), Clocks())
    assert request is not None
    assert (request.method, request.url) == ("GET", ROOT + url)
    assert request.headers["api-key"] == "sk-canary"


def test_a_probes_list_is_not_what_is_deployed() -> None:
    """What could be deployed is not taken for the models that are there."""
    body = b'{"data":[{"id":"gpt-4o"}]}'
    reading = AZURE.read_probe(provider(), 200, body)
    assert (reading.state, reading.models) == ("healthy", ())
    assert AZURE.read_probe(provider(), 401, b"").state == "key_rejected"


def test_the_empty_first_event_goes_to_no_client() -> None:
    """However the bytes are cut, what has an empty id and no choice is left out."""
    data = FIRST + HI + STOP + DONE
    for pieces in every_cut(data):
        reader = AZURE.open_stream(ask_for(stream=True), 1 << 20)
        assert read_all(reader, pieces) == HI + STOP + DONE
        assert reader.is_complete


def test_results_of_filters_pass_as_they_came() -> None:
    """Beside the text they say what the filters found; nothing of them is taken away."""
    told = HI.replace(b'"finish_reason"', b'"content_filter_results":{"hate":{}},"finish_reason"')
    offsets = STOP.replace(b'"stop"', b'null,"content_filter_offsets":{"check_offset":1}')
    data = FIRST + told + offsets + STOP + DONE
    reader = AZURE.open_stream(ask_for(stream=True), 1 << 20)
    assert read_all(reader, [data]) == told + offsets + STOP + DONE


def test_a_stream_of_filters_alone_is_cut_off() -> None:
    """The first event is no content: a stream that ends behind it is no success."""
    reader = AZURE.open_stream(ask_for(stream=True), 1 << 20)
    assert read_all(reader, [FIRST]) == b""
    assert reader.error is not None
    assert not reader.has_content
