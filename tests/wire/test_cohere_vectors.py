"""Tests of `proxy/wire/cohere_vectors.py`."""

import json
from typing import Any

import pytest

from proxy.domain import errors as e
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.cohere_vectors import MAX_INPUTS, read_cohere_vectors, write_cohere_vectors
from proxy.wire.openai_request import parse_ask

META = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}}


def ask_for(text: Any = "hi", **fields: Any) -> Ask:
    return parse_ask("embeddings", json.dumps({"model": "m", "input": text, **fields}).encode())


def write(text: Any = "hi", **fields: Any) -> tuple[Any, list[str]]:
    dropped: list[str] = []
    return json.loads(write_cohere_vectors(ask_for(text, **fields), "embed-v4.0", dropped)), dropped


def read(value: Any, ask: Ask | None = None) -> Any:
    return read_cohere_vectors(ask or ask_for(), json.dumps(value).encode())


def answer(*vectors: Any, **more: Any) -> dict[str, Any]:
    return {"id": "x", "embeddings": {"float": list(vectors)}, "meta": META, **more}


def test_a_text_is_asked_for_as_a_document() -> None:
    """OpenAI's clients do not say what their texts are; numbers are asked for in any case."""
    body, dropped = write()
    assert body == {
        "model": "embed-v4.0",
        "texts": ["hi"],
        "input_type": "search_document",
        "embedding_types": ["float"],
    }
    assert dropped == []
    assert write(encoding_format="base64")[0] == body


def test_fields_of_cohere_are_taken() -> None:
    """Others that it does not know are named."""
    body, dropped = write(
        ["a", "b"],
        input_type="search_query",
        dimensions=256,
        truncate="NONE",
        user="u",
        priority=None,
    )
    assert (body["texts"], body["input_type"]) == (["a", "b"], "search_query")
    assert (body["output_dimension"], body["truncate"]) == (256, "NONE")
    assert "priority" not in body and dropped == ["user"]


def test_more_texts_than_cohere_takes_are_refused() -> None:
    """The refusal says how many there are, and how many there may be."""
    assert len(write(["a"] * MAX_INPUTS)[0]["texts"]) == MAX_INPUTS
    with pytest.raises(e.NotOffered) as refusal:
        write(["a"] * 97)
    assert refusal.value.param == "input"
    assert "96" in refusal.value.message and "97" in refusal.value.message


@pytest.mark.parametrize("tokens", [[1, 2], [[1], [2]]])
def test_tokens_are_refused(tokens: Any) -> None:
    """Their numbers are another maker's."""
    with pytest.raises(e.NotOffered) as refusal:
        write(tokens)
    assert refusal.value.param == "input"


def test_vectors_are_as_openai_writes_them() -> None:
    """In order, with what Cohere bills, as numbers or packed."""
    checked = read(answer([0.5, -1.0], [1, 2]), ask_for(["a", "b"]))
    value = json.loads(checked.body)
    assert [item["embedding"] for item in value["data"]] == [[0.5, -1.0], [1, 2]]
    assert [item["index"] for item in value["data"]] == [0, 1]
    assert value["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert (value["model"], checked.usage) == ("m", Usage(7, 0))
    packed = json.loads(read(answer([1.0]), ask_for(encoding_format="base64")).body)
    assert packed["data"][0]["embedding"] == "AACAPw=="


def test_usage_is_estimated_where_there_is_none() -> None:
    """Counts that cannot be are set aside."""
    value = answer([1.0])
    del value["meta"]
    assert read(value).usage.source == "estimated"
    odd = read(answer([1.0], meta={"billed_units": {"input_tokens": -1}}))
    assert odd.usage.source == "estimated" and odd.anomalies == ("usage_anomaly",)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"message": "boom"}, e.UpstreamServerError),
        ({"message": "too many tokens: 9"}, e.UpstreamRejected),
        ({}, e.UpstreamProtocolError),
        ([], e.UpstreamProtocolError),
        ({"embeddings": {"int8": [[1]]}}, e.UpstreamProtocolError),
        ({"embeddings": [[1.0]]}, e.UpstreamProtocolError),
        (answer(), e.UpstreamError),
        (answer(3), e.UpstreamError),
    ],
    ids=str,
)
def test_what_is_no_vector_is_an_error(value: Any, kind: type[e.UpstreamError]) -> None:
    """Fewer than were asked for, other numbers, words."""
    with pytest.raises(kind):
        read(value)
