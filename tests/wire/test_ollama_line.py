"""Single lines of Ollama's: what they say, what they count, and what they say went wrong."""

import json

import pytest

from proxy.domain.errors import ProxyError, UpstreamProtocolError, UpstreamTooLarge
from proxy.domain.exchange import Anomaly
from proxy.wire.ollama_line import decode_line, read_counts


def decode(value: object) -> tuple[int | None, int | None]:
    return read_counts(decode_line(json.dumps(value).encode(), set()))


def test_counts_are_those_that_are_told() -> None:
    """A prompt without tokens is one that came from a cache: its count is not known."""
    assert decode({"prompt_eval_count": 5, "eval_count": 2}) == (5, 2)
    assert decode({"prompt_eval_count": 0, "eval_count": 2}) == (None, 2)
    assert decode({"eval_count": 0}) == (None, 0)
    assert decode({}) == (None, None)


@pytest.mark.parametrize("count", [-1, 1.5, 10**18, "3", []])
def test_counts_that_cannot_be_billed_from_are_refused(count: object) -> None:
    """Negative, broken and enormous ones are no counts."""
    with pytest.raises(ValueError):
        decode({"prompt_eval_count": 1, "eval_count": count})


@pytest.mark.parametrize(
    ("error", "name", "code"),
    [
        ("server busy, please try again.  maximum pending requests exceeded", "Overloaded", None),
        ("the input length exceeds the context length", "Rejected", "context_length_exceeded"),
        ("model runner has unexpectedly stopped", "ServerError", "upstream_server_error"),
        (
            '{"error":{"code":400,"message":"request (9 tokens) exceeds the available context '
            'size (4 tokens)","type":"exceed_context_size_error","n_ctx":4}}',
            "Rejected",
            "context_length_exceeded",
        ),
        ([], "ServerError", "upstream_server_error"),
    ],
)
def test_an_error_is_what_its_words_say(error: object, name: str, code: str | None) -> None:
    """Words are all there is in a stream, also those of the server behind it."""
    if not error:
        error = {}
    line = json.dumps({"error": error or {"message": "?"}}).encode()
    with pytest.raises(ProxyError) as raised:
        decode_line(line, set())
    assert type(raised.value).__name__ == f"Upstream{name}"
    assert code is None or raised.value.code == code


def test_broken_text_is_mended_and_noted() -> None:
    """One character cut in two costs nobody the answer."""
    anomalies: set[Anomaly] = set()
    line = decode_line(b'{"message":{"content":"a\xff"}}', anomalies)
    assert line.message is not None
    assert line.message.content == "a\ufffd"
    assert anomalies == {"utf8_replaced"}


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"message":3}', b"data: {}", b'{"done":"x"}'])
def test_what_is_no_line_of_ollamas_is_malformed(data: bytes) -> None:
    """Broken JSON and other shapes are the provider's fault."""
    with pytest.raises(UpstreamProtocolError):
        decode_line(data, set())


def test_a_line_of_too_many_values_is_not_taken_apart() -> None:
    """Two million empty lists would cost this server a hundred times their size."""
    with pytest.raises(UpstreamTooLarge):
        decode_line(b'{"x":[' + b"[]," * 2_000_001 + b"[]]}", set())
