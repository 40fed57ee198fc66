"""Embeddings in OpenAI's format at providers that have their own: what all of them need."""

from collections.abc import Iterable

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from proxy.domain.errors import NotOffered
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.json_text import build_object, encode
from proxy.wire.openai_answer import read_openai_answer

_decode_input = msgspec.json.Decoder(str | list[str]).decode


def read_texts(ask: Ask, title: str) -> list[str]:
    """
    Return the texts that vectors are asked for.

    Args:
        ask: an embeddings request.
        title: of the provider, for the refusal.

    Raises:
        NotOffered: tokens instead of text.

    Source: wire-formats §2.5; tests/wire/test_openai_vectors.py.
    """
    try:
        texts = _decode_input(ask.fields["input"])
    except (ValueError, RecursionError):
        raise NotOffered(f"{title} takes text, and no tokens, as input.", param="input") from None
    return [texts] if isinstance(texts, str) else texts


def build_vectors_answer(
    ask: Ask, vectors: Iterable[Raw | bytes], usage: Usage, anomalies: tuple[Anomaly, ...] = ()
) -> CheckedAnswer:
    """
    Return the answer to an embeddings request, in Base64 where the client wants that.

    Args:
        ask: what was asked.
        vectors: each a JSON array of numbers, in the order of the inputs.
        usage: what is told and billed.
        anomalies: what was odd about the provider's answer.

    Raises:
        UpstreamError: no vectors, or fewer than were asked for.

    Source: wire-formats §2.5; tests/wire/test_openai_vectors.py.
    """
    items = [
        build_object({"object": b'"embedding"', "index": encode(place), "embedding": vector})
        for place, vector in enumerate(vectors)
    ]
    counts = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    built = build_object(
        {
            "object": b'"list"',
            "data": b"[" + b",".join(items) + b"]",
            "model": encode(ask.model),
            "usage": encode(counts),
        }
    )
    return replace(read_openai_answer(ask, built, None), usage=usage, anomalies=anomalies)
