"""Embeddings in OpenAI's format <-> Cohere's `/v2/embed`."""

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from proxy.domain.errors import NotOffered, UpstreamProtocolError
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.cohere_shapes import EMPTY
from proxy.wire.cohere_usage import parse_cohere_usage
from proxy.wire.json_text import encode
from proxy.wire.openai_error import NO_VALUE, read_error_object
from proxy.wire.openai_vectors import build_vectors_answer, read_texts
from proxy.wire.usage_estimate import estimate_usage

MAX_INPUTS = 96
"""So many texts Cohere takes at once."""
USUAL_INPUT_TYPE = Raw(b'"search_document"')
"""What texts are taken for that a client says nothing about; OpenAI's know no such field."""

_OWN = ("input_type", "truncate", "max_tokens", "priority")
_READ = frozenset(("model", "input", "encoding_format", "dimensions"))
_NULL = b"null"


class _Embeddings(Struct):
    float: list[Raw] | None = None


class _Vectors(Struct):
    embeddings: _Embeddings | None = None
    meta: Raw = NO_VALUE
    message: str | None = None
    """What went wrong; else there is none."""


_decode_vectors = msgspec.json.Decoder(_Vectors).decode


def write_cohere_vectors(ask: Ask, model: str, dropped: list[str]) -> bytes:
    """
    Return the body that asks for the vectors that an embeddings request asks for.

    Numbers are asked for also where the client wants Base64: they are packed here.

    Args:
        ask: what is asked.
        model: whom it is sent to.
        dropped: gets the names of what was left out.

    Raises:
        NotOffered: tokens instead of text, or more than MAX_INPUTS texts.

    Source: wire-formats §2.5 and §3.3; tests/wire/test_cohere_vectors.py.
    """
    if ask.choices > MAX_INPUTS:
        raise NotOffered(
            f"Cohere takes at most {MAX_INPUTS} inputs at once, and these are {ask.choices}.",
            param="input",
        )
    texts = read_texts(ask, "Cohere")
    body: dict[str, object] = {
        "model": model,
        "texts": texts,
        "input_type": USUAL_INPUT_TYPE,
        "embedding_types": ["float"],
    }
    for name, value in ask.fields.items():
        if bytes(value) == _NULL:
            continue
        if name == "dimensions":
            body["output_dimension"] = value
        elif name in _OWN:
            body[name] = value
        elif name not in _READ:
            dropped.append(name)
    return encode(body)


def read_cohere_vectors(ask: Ask, body: bytes) -> CheckedAnswer:
    """
    Return the client's answer to an embeddings request.

    Raises:
        UpstreamError: an error inside the 200, a body that is not Cohere's, or fewer vectors
            than were asked for.

    Source: wire-formats §2.5 and §3.3; tests/wire/test_cohere_vectors.py.
    """
    try:
        answer = _decode_vectors(body)
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    if answer.message:
        raise read_error_object({"message": answer.message})
    if answer.embeddings is None or answer.embeddings.float is None:
        raise UpstreamProtocolError()
    usage, is_odd = _read_usage(answer.meta)
    usage = usage or estimate_usage(ask, 0)
    anomalies: tuple[Anomaly, ...] = ("usage_anomaly",) if is_odd else ()
    return build_vectors_answer(ask, answer.embeddings.float, usage, anomalies)


def _read_usage(meta: Raw) -> tuple[Usage | None, bool]:
    if bytes(meta) in EMPTY:
        return None, False
    try:
        usage = parse_cohere_usage(meta, has_output=False)
    except (ValueError, RecursionError):
        return None, True
    return None if usage is None else replace(usage, output_tokens=0), False
