"""Tests of `proxy/wire/gemini_vectors.py`."""

import base64
import json
import struct
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from proxy.domain import errors as e
from proxy.wire.base import Ask
from proxy.wire.gemini_vectors import MAX_INPUTS, read_gemini_vectors, write_gemini_vectors
from proxy.wire.openai_request import parse_ask

ONE = {"embeddings": [{"values": [0.5, -1.25]}]}


def ask_for(**fields: Any) -> Ask:
    return parse_ask("embeddings", json.dumps({"model": "m", "input": "hi", **fields}).encode())


def write(**fields: Any) -> tuple[list[dict[str, Any]], list[str]]:
    dropped: list[str] = []
    body = write_gemini_vectors(ask_for(**fields), "gemini-embedding-001", dropped)
    requests: list[dict[str, Any]] = json.loads(body)["requests"]
    return requests, dropped


def read(value: object, ask: Ask | None = None) -> tuple[dict[str, Any], Any]:
    answer = read_gemini_vectors(ask or ask_for(), json.dumps(value, indent=2).encode())
    body: dict[str, Any] = json.loads(answer.body)
    if not (ask and ask.wants_base64):
        CreateEmbeddingResponse.model_validate(body)
    return body, answer


def test_each_text_is_one_request_of_a_batch() -> None:
    """One text or many: each names the model and what is wanted of its vector."""
    single, dropped = write()
    assert single == [
        {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "hi"}]}}
    ]
    many, _ = write(input=["a", "b"], dimensions=768, task_type="RETRIEVAL_QUERY")
    assert [item["content"]["parts"][0]["text"] for item in many] == ["a", "b"]
    assert all(item["outputDimensionality"] == 768 for item in many)
    assert all(item["taskType"] == "RETRIEVAL_QUERY" for item in many)
    assert dropped == []


def test_what_gemini_does_not_know_is_named() -> None:
    """How vectors are written is our own business, and not one that is dropped."""
    requests, dropped = write(user="u", encoding_format="base64", dimensions=None, x=1)
    assert dropped == ["user", "x"]
    assert set(requests[0]) == {"model", "content"}


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
def test_tokens_are_refused(tokens: object) -> None:
    """They are of OpenAI's models, and mean something else or nothing to Gemini's."""
    with pytest.raises(e.NotOffered) as caught:
        write(input=tokens)
    assert caught.value.param == "input"


def test_more_inputs_than_openai_takes_are_refused() -> None:
    """No list of millions is taken apart."""
    assert len(write(input=["a"] * MAX_INPUTS)[0]) == MAX_INPUTS
    with pytest.raises(e.NotOffered):
        write(input=["a"] * (MAX_INPUTS + 1))


def test_vectors_come_as_openais() -> None:
    """In their order, under the name that the client asked for, on one line."""
    value = {"embeddings": [{"values": [0.5, -1.25]}, {"values": [1e-7, 2.0]}]}
    body, answer = read(value, ask_for(input=["a", "b"]))
    assert [item["embedding"] for item in body["data"]] == [[0.5, -1.25], [1e-7, 2.0]]
    assert [item["index"] for item in body["data"]] == [0, 1]
    assert (body["object"], body["model"]) == ("list", "m")
    assert b"\n" not in answer.body


def test_vectors_are_packed_where_that_is_asked_for() -> None:
    """OpenAI's client asks for Base64 of 32-bit floats when nobody has said otherwise."""
    body, _ = read(ONE, ask_for(encoding_format="base64"))
    packed = base64.b64decode(body["data"][0]["embedding"])
    assert struct.unpack("<2f", packed) == (0.5, -1.25)


def test_the_answer_to_a_single_one_is_read_too() -> None:
    """`embedContent` has one `embedding` in place of the list."""
    assert read({"embedding": {"values": [1.0]}})[0]["data"][0]["embedding"] == [1.0]


def test_tokens_are_counted_where_gemini_counts_them() -> None:
    """Else they are estimated, and said to be; the client is told the same."""
    body, answer = read({**ONE, "usageMetadata": {"promptTokenCount": 7}})
    assert body["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert (answer.usage.input_tokens, answer.usage.source) == (7, "reported")
    body, answer = read(ONE)
    assert answer.usage.source == "estimated"
    assert body["usage"]["prompt_tokens"] == answer.usage.input_tokens > 0
    assert answer.anomalies == ()
    _, answer = read({**ONE, "usageMetadata": {"promptTokenCount": -7}})
    assert answer.usage.source == "estimated" and answer.anomalies == ("usage_anomaly",)


def test_vectors_that_are_missing_are_no_success() -> None:
    """Fewer than were asked for is a truncated answer."""
    with pytest.raises(e.UpstreamTruncated):
        read(ONE, ask_for(input=["a", "b"]))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"error": {"code": 429, "message": "m"}}, e.UpstreamRateLimited),
        ({}, e.UpstreamProtocolError),
        ([], e.UpstreamProtocolError),
        ({"embeddings": [{}]}, e.UpstreamProtocolError),
        ({"embeddings": [{"values": "x"}]}, e.UpstreamProtocolError),
        ({"embeddings": 5}, e.UpstreamProtocolError),
    ],
    ids=str,
)
def test_what_is_no_answer_is_an_error_of_the_providers(
    value: object, kind: type[e.UpstreamError]
) -> None:
    """An error inside the 200 is one, and anything else that is not Gemini's."""
    with pytest.raises(kind):
        read(value)
