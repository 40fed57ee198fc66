"""Embeddings at providers with a format of their own: the texts that are read, the list written."""

import json

import pytest
from msgspec import Raw

from proxy.domain.errors import NotOffered, UpstreamError
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.openai_vectors import build_vectors_answer, read_texts


def ask(given: bytes, choices: int = 1) -> Ask:
    return Ask("embeddings", "m", {"input": Raw(given)}, choices=choices)


@pytest.mark.parametrize(("given", "texts"), [(b'"a"', ["a"]), (b'["a","b"]', ["a", "b"])])
def test_one_text_is_a_list_of_one(given: bytes, texts: list[str]) -> None:
    """Whether one text was sent or several, a list of them is read."""
    assert read_texts(ask(given), "It") == texts


@pytest.mark.parametrize("given", [b"[1,2]", b"[[1]]"])
def test_tokens_are_refused_by_the_providers_name(given: bytes) -> None:
    """Who sends tokens is told who takes none, and in which field they stand."""
    with pytest.raises(NotOffered) as caught:
        read_texts(ask(given), "It")
    assert (str(caught.value), caught.value.param) == (
        "It takes text, and no tokens, as input.",
        "input",
    )


def test_vectors_become_openais_list() -> None:
    """Vectors stand in their order, with the counts that are billed and what was odd."""
    vectors = [Raw(b"[0.5,1]"), b"[2,3]"]
    answer = build_vectors_answer(ask(b'["a","b"]', 2), vectors, Usage(7, 0), ("usage_anomaly",))
    assert json.loads(answer.body) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, 1]},
            {"object": "embedding", "index": 1, "embedding": [2, 3]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    assert (answer.usage, answer.anomalies) == (Usage(7, 0), ("usage_anomaly",))


def test_too_few_vectors_are_no_answer() -> None:
    """A list that lacks a vector that was asked for is the provider's fault."""
    with pytest.raises(UpstreamError):
        build_vectors_answer(ask(b'["a","b"]', 2), [b"[1]"], Usage(7, 0))
