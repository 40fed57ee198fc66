"""Vectors: OpenAI's request at Ollama, Ollama's answer for OpenAI's clients, and the reverse."""

import json
from typing import Any

import pytest

from proxy.domain.errors import (
    InvalidRequest,
    NotOffered,
    UpstreamError,
    UpstreamProtocolError,
)
from proxy.domain.usage import Usage
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.context_window import WindowBounds
from proxy.wire.ollama_request import parse_ask as parse_ollama_ask
from proxy.wire.ollama_vectors import dress_vectors, read_ollama_vectors, write_ollama_vectors
from proxy.wire.openai_request import parse_ask

ANSWER = b'{"model":"q","embeddings":[[0.5,-1.0],[0.25,2.0]],"prompt_eval_count":7}'


def ask_for(**fields: Any) -> Ask:
    body = {"model": "m", "input": ["a", "b"], **fields}
    return parse_ask("embeddings", json.dumps(body).encode())


def write(ask: Ask) -> tuple[dict[str, Any], list[str]]:
    dropped: list[str] = []
    bounds = WindowBounds(8192, 131_072)
    return json.loads(write_ollama_vectors(ask, "q", bounds, dropped)), dropped


def test_a_request_is_written() -> None:
    """A text that is too long is refused unless the client wants it cut; the rest is named."""
    body, dropped = write(ask_for(dimensions=2, encoding_format="base64", user="u", truncate=True))
    window = {"options": {"num_ctx": 8192}}
    asked = {"model": "q", "input": ["a", "b"], "truncate": True, "dimensions": 2}
    assert body == asked | window
    assert dropped == ["user"]
    asked = {"model": "q", "input": "a", "truncate": False}
    assert write(ask_for(input="a"))[0] == asked | window


def test_the_window_holds_the_longest_text() -> None:
    """All texts together may be longer: each is read alone."""
    texts = ["x" * 20_000, "x" * 30_000, ""]
    assert write(ask_for(input=texts))[0]["options"]["num_ctx"] == 16_384
    assert write(ask_for(input=["x" * 20_000] * 3))[0]["options"]["num_ctx"] == 8192
    with pytest.raises(InvalidRequest) as raised:
        write(ask_for(options=[]))
    assert raised.value.param == "options"


def test_what_ollamas_clients_say_goes_to_ollama() -> None:
    """Options and the time to keep a model are in its own words already."""
    asked = {"model": "m", "prompt": "a", "options": {"num_ctx": 5, "seed": 1}, "keep_alive": 0}
    body, dropped = write(parse_ollama_ask("ollama_embed", json.dumps(asked).encode()))
    assert body == {
        "model": "q",
        "input": "a",
        "truncate": False,
        "options": {"num_ctx": 8192, "seed": 1},
        "keep_alive": 0,
    }
    assert dropped == []


def test_tokens_are_refused() -> None:
    """They are another model's words."""
    with pytest.raises(NotOffered) as raised:
        write(ask_for(input=[1, 2]))
    assert raised.value.param == "input"


def test_an_answer_is_read() -> None:
    """Vectors and counts are OpenAI's, as floats or packed."""
    checked = read_ollama_vectors(ask_for(), ANSWER)
    assert checked.usage == Usage(7, 0)
    assert json.loads(checked.body) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -1.0]},
            {"object": "embedding", "index": 1, "embedding": [0.25, 2.0]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    packed = json.loads(read_ollama_vectors(ask_for(encoding_format="base64"), ANSWER).body)
    assert packed["data"][0]["embedding"] == "AAAAPwAAgL8="


def test_counts_that_are_none_are_estimated() -> None:
    """What cannot be billed from is noted."""
    body = b'{"embeddings":[[1],[2]],"prompt_eval_count":-3}'
    checked = read_ollama_vectors(ask_for(), body)
    assert (checked.usage.source, checked.anomalies) == ("estimated", ("usage_anomaly",))
    assert read_ollama_vectors(ask_for(), b'{"embeddings":[[1],[2]]}').usage.source == "estimated"


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"embeddings":[[1]]}', b'{"embeddings":[1,2]}', b'{"embeddings":3}', b"[]"],
)
def test_what_are_not_the_vectors_is_an_error(body: bytes) -> None:
    """Fewer than were asked for are none either."""
    with pytest.raises(UpstreamError):
        read_ollama_vectors(ask_for(), body)


def test_an_error_inside_of_a_success_is_one() -> None:
    """Its words say what it is."""
    with pytest.raises(UpstreamError) as raised:
        read_ollama_vectors(ask_for(), b'{"error":"the input length exceeds the context length"}')
    assert raised.value.code == "context_length_exceeded"
    assert not isinstance(raised.value, UpstreamProtocolError)


def test_ollamas_clients_get_their_shape() -> None:
    """Vectors are the same bytes; the older form has one of them and nothing else."""
    answer = CheckedAnswer(b'{"data":[{"index":0,"embedding":[0.10,2]}],"model":"q"}', Usage(3, 0))
    ask = parse_ollama_ask("ollama_embed", b'{"model":"m","input":"a"}')
    ask.measure_s = lambda: 0.5
    assert dress_vectors(ask, answer) == (
        b'{"model":"m","embeddings":[[0.10,2]],"total_duration":500000000,"load_duration":0,'
        b'"prompt_eval_count":3}'
    )
    older = parse_ollama_ask("ollama_embed", b'{"model":"m","prompt":"a"}')
    assert dress_vectors(older, answer) == b'{"embedding":[0.10,2]}'
