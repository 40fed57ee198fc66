"""Embeddings in OpenAI's format <-> Ollama's `/api/embed`, and back for Ollama's clients."""

from collections.abc import MutableSequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.errors import UpstreamProtocolError
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.context_window import WindowBounds, choose_window
from proxy.wire.json_text import encode
from proxy.wire.ollama_chat_writer import read_options_object, read_window
from proxy.wire.ollama_line import decode_line, read_counts
from proxy.wire.openai_vectors import build_vectors_answer, read_texts
from proxy.wire.usage_estimate import estimate_usage

_READ = frozenset(("model", "input", "encoding_format"))
_OWN = frozenset(("dimensions", "truncate", "options", "keep_alive"))


class _Vectors(Struct):
    embeddings: list[Raw] | None = None


class _Item(Struct):
    embedding: Raw


class _List(Struct):
    data: list[_Item]


_decode_vectors = msgspec.json.Decoder(_Vectors).decode
_decode_list = msgspec.json.Decoder(_List).decode


def write_ollama_vectors(
    ask: Ask, model: str, bounds: WindowBounds, dropped: MutableSequence[str]
) -> bytes:
    """
    Return the body that asks for the vectors that an embeddings request asks for.

    `truncate` is false unless the client has set it: a text that is too long is refused then, and
    not embedded in part. The window holds the longest of them.

    Args:
        ask: what is asked.
        model: its name at the server.
        bounds: of the window.
        dropped: gets the names of what was left out.

    Raises:
        NotOffered: tokens instead of text.
        InvalidRequest: `options` is of a shape that cannot be read.

    Source: wire-formats §2.5 and §3.4; tests/wire/test_ollama_vectors.py.
    """
    texts = read_texts(ask, "Ollama")
    body: dict[str, Any] = {"model": model, "input": ask.fields["input"], "truncate": False}
    for name, value in ask.fields.items():
        if bytes(value) == b"null":
            continue
        if name in _OWN:
            body[name] = value
        elif name not in _READ:
            dropped.append(name)
    body.update((name, value) for name, value in ask.own_fields.items() if name in _OWN)
    longest = max(texts, key=len, default="")
    options = read_options_object(body.get("options"))
    asked = read_window(options.get("num_ctx"))
    window = choose_window(len(longest.encode()), 0, 0, asked, bounds)
    body["options"] = {**options, "num_ctx": window}
    return encode(body)


def read_ollama_vectors(ask: Ask, body: bytes) -> CheckedAnswer:
    """
    Return the answer to an embeddings request in OpenAI's format.

    Raises:
        UpstreamError: an error inside the 200, a body that is not Ollama's, or fewer vectors than
            were asked for.

    Source: wire-formats §2.5 and §3.4; tests/wire/test_ollama_vectors.py.
    """
    anomalies: set[Anomaly] = set()
    line = decode_line(body, anomalies)
    try:
        vectors = _decode_vectors(body).embeddings
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    if vectors is None or any(not bytes(vector).startswith(b"[") for vector in vectors):
        raise UpstreamProtocolError()
    try:
        inputs, _ = read_counts(line)
    except (ValueError, RecursionError):
        anomalies.add("usage_anomaly")
        inputs = None
    usage = estimate_usage(ask, 0) if inputs is None else Usage(inputs, 0)
    return build_vectors_answer(ask, vectors, usage, tuple(anomalies))


def dress_vectors(ask: Ask, answer: CheckedAnswer) -> bytes:
    """
    Return an embeddings answer of OpenAI's format as Ollama's clients get it.

    Args:
        ask: what was asked; with a `prompt` of its own it was the older form, of one vector.
        answer: checked, with vectors of floats.

    Source: wire-formats §3.4; tests/wire/test_ollama_vectors.py.
    """
    vectors = [item.embedding for item in _decode_list(answer.body).data]
    if "prompt" in ask.own_fields:
        return encode({"embedding": vectors[0]})
    total_ns = int(ask.measure_s() * 1e9)
    return encode(
        {
            "model": ask.model,
            "embeddings": vectors,
            "total_duration": total_ns,
            "load_duration": 0,
            "prompt_eval_count": answer.usage.input_tokens,
        }
    )
