"""What passes as it came: where it goes at each type, with which head."""

import pytest

from proxy.domain.catalog import Provider
from proxy.domain.errors import NotOffered
from proxy.domain.exchange import OutboundRequest, PassedOperation
from proxy.domain.secret import Secret
from proxy.providers.kind import ALL_PASSED
from proxy.providers.passed_request import PassedRequest, Passer
from proxy.providers.registry import find_kind, find_type, known_types

TRACE = {"traceparent": "00-1-2-01"}


def _build(
    asked: PassedRequest, type_name: str, base_url: str = "https://it.example/v1", **fields: str
) -> OutboundRequest:
    provider = Provider("p", type_name, base_url, api_key=Secret("k"), **fields)  # type: ignore[arg-type]
    provider_type = find_type(type_name)
    assert isinstance(provider_type, Passer)
    return provider_type.build_passed_request(asked, provider, TRACE)


AT_OPENAI = "https://it.example/v1"
AT_AZURE = "https://it.example"
OLD = {"api_version": "2024-10-21"}


@pytest.mark.parametrize(
    ("type_name", "base_url", "fields", "asked", "url"),
    [
        ("openai", AT_OPENAI, {}, PassedRequest("audio/speech", model="tts"), "/v1/audio/speech"),
        (
            "openai",
            AT_OPENAI,
            {},
            PassedRequest("files", "GET", rest="/file-1/content"),
            "/v1/files/file-1/content",
        ),
        (
            "openai",
            AT_OPENAI,
            {},
            PassedRequest("batches", "GET", query="limit=2"),
            "/v1/batches?limit=2",
        ),
        ("cohere", AT_AZURE, {}, PassedRequest("rerank", model="r"), "/v2/rerank"),
        (
            "azure",
            AT_AZURE,
            OLD,
            PassedRequest("audio/transcriptions", model="my whisper"),
            "/openai/deployments/my%20whisper/audio/transcriptions?api-version=2024-10-21",
        ),
        (
            "azure",
            AT_AZURE,
            OLD,
            PassedRequest("files", "GET", query="limit=2"),
            "/openai/files?api-version=2024-10-21&limit=2",
        ),
        ("azure", AT_AZURE, {}, PassedRequest("files", "GET"), "/openai/v1/files"),
    ],
    ids=["openai", "a file", "a list", "cohere", "azure", "azure files", "azure v1"],
)
def test_each_type_has_its_address(
    type_name: str, base_url: str, fields: dict[str, str], asked: PassedRequest, url: str
) -> None:
    """The path is the type's own, with what stands behind it and its query."""
    request = _build(asked, type_name, base_url, **fields)
    assert request.url == "https://it.example" + url
    assert request.method == asked.method


def test_the_head_is_built_from_nothing() -> None:
    """The key is the provider's, any answer is taken, and the body is what came."""
    asked = PassedRequest("moderations", model="m", content_type="application/json", body=b"{}")
    request = _build(asked, "openai")
    assert request.headers["Authorization"] == "Bearer k"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept"] == "*/*"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["traceparent"] == "00-1-2-01"
    assert (request.body, request.model, request.streams) == (b"{}", "m", False)


def test_what_has_no_body_has_no_content_type() -> None:
    """A GET says nothing of a body."""
    assert "Content-Type" not in _build(PassedRequest("files", "GET"), "openai").headers


def test_azure_gets_its_key_in_its_own_header() -> None:
    """The key goes where the type has it."""
    request = _build(PassedRequest("files", "GET"), "azure", AT_AZURE)
    assert request.headers["api-key"] == "k"


@pytest.mark.parametrize("type_name", known_types())
@pytest.mark.parametrize("operation", ALL_PASSED)
def test_a_type_offers_what_its_kind_says(type_name: str, operation: PassedOperation) -> None:
    """What a kind does not list is NotOffered; a type that lists something takes it."""
    kind, provider_type = find_kind(type_name), find_type(type_name)
    assert kind is not None
    if operation in kind.passes:
        assert kind.passes[operation] in _build(PassedRequest(operation), type_name).url
    elif isinstance(provider_type, Passer):
        with pytest.raises(NotOffered) as caught:
            _build(PassedRequest(operation), type_name)
        assert caught.value.code == "unsupported_operation"
        assert kind.title in caught.value.message
