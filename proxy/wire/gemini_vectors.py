"""Embeddings in OpenAI's format <-> Gemini's `batchEmbedContents`."""

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from proxy.domain.errors import NotOffered, UpstreamProtocolError
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.gemini_usage import parse_gemini_usage
from proxy.wire.json_text import encode
from proxy.wire.openai_error import NO_VALUE, check_no_error
from proxy.wire.openai_vectors import build_vectors_answer, read_texts
from proxy.wire.usage_estimate import estimate_usage

MAX_INPUTS = 2048
"""OpenAI's own limit; how many Gemini takes at once it says itself."""

_OWN = {
    "task_type": "taskType",
    "taskType": "taskType",
    "title": "title",
    "auto_truncate": "autoTruncate",
    "autoTruncate": "autoTruncate",
}
_READ = frozenset(("model", "input", "encoding_format", "dimensions"))


class _Vector(Struct):
    values: Raw


class _Vectors(Struct, rename="camel"):
    embeddings: list[_Vector] | None = None
    embedding: _Vector | None = None
    usage_metadata: Raw = NO_VALUE
    error: Raw = NO_VALUE


_decode_vectors = msgspec.json.Decoder(_Vectors).decode


def write_gemini_vectors(ask: Ask, model: str, dropped: list[str]) -> bytes:
    """
    Return the body that asks for the vectors that an embeddings request asks for.

    Args:
        ask: what is asked.
        model: whom it is sent to.
        dropped: gets the names of what was left out.

    Raises:
        NotOffered: tokens instead of text, or more than MAX_INPUTS texts.

    Source: wire-formats §2.5 and §3.2; tests/wire/test_gemini_vectors.py.
    """
    if ask.choices > MAX_INPUTS:
        raise NotOffered(f"Gemini takes at most {MAX_INPUTS} inputs at once.", param="input")
    texts = read_texts(ask, "Gemini")
    options: dict[str, Raw] = {}
    for name, value in ask.fields.items():
        if name in _READ or bytes(value) == b"null":
            continue
        if name in _OWN:
            options[_OWN[name]] = value
        else:
            dropped.append(name)
    dimensions = ask.fields.get("dimensions")
    if dimensions is not None and bytes(dimensions) != b"null":
        options["outputDimensionality"] = dimensions
    name = f"models/{model}"
    return encode(
        {
            "requests": [
                {"model": name, "content": {"parts": [{"text": text}]}, **options} for text in texts
            ]
        }
    )


def read_gemini_vectors(ask: Ask, body: bytes) -> CheckedAnswer:
    """
    Return the client's answer to an embeddings request.

    Older models count no tokens: what is told then is an estimate.

    Raises:
        UpstreamError: an error inside the 200, a body that is not Gemini's, or fewer vectors
            than were asked for.

    Source: wire-formats §2.5 and §3.2; tests/wire/test_gemini_vectors.py.
    """
    try:
        answer = _decode_vectors(body)
    except (ValueError, RecursionError):
        raise UpstreamProtocolError() from None
    check_no_error(answer.error, None, body)
    vectors = answer.embeddings
    if vectors is None and answer.embedding is not None:
        vectors = [answer.embedding]
    if vectors is None:
        raise UpstreamProtocolError()
    usage, is_odd = _read_usage(answer.usage_metadata)
    usage = usage or estimate_usage(ask, 0)
    anomalies: tuple[Anomaly, ...] = ("usage_anomaly",) if is_odd else ()
    compacted = [_compact(vector.values) for vector in vectors]
    return build_vectors_answer(ask, compacted, usage, anomalies)


def _read_usage(raw: Raw) -> tuple[Usage | None, bool]:
    if raw is NO_VALUE:
        return None, False
    try:
        usage = parse_gemini_usage(raw)
    except (ValueError, RecursionError):
        return None, True
    return None if usage is None else replace(usage, output_tokens=0, reasoning_tokens=0), False


def _compact(values: Raw) -> bytes:
    """Return a vector without the line ends and blanks that Google's JSON has."""
    text = bytes(values)
    if not text.startswith(b"["):
        raise UpstreamProtocolError()
    return msgspec.json.format(text, indent=-1)
