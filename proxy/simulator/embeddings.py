"""
Makes embeddings: hashed bags of words, so texts that share words lie near each other.

The vectors mean nothing beyond that; they are stable for ever and of unit length.
"""

import base64
import hashlib
import math
import struct
from functools import lru_cache

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import EmbeddingAsk
from proxy.simulator.draft import Draft
from proxy.simulator.knobs import Knobs
from proxy.simulator.tokens import count_tokens, split_tokens

DEFAULT_DIMENSIONS = 256
_PLACES_PER_WORD = 8
_place = struct.Struct("<8Q")


def build_embeddings(ask: EmbeddingAsk, knobs: Knobs, created_at: int) -> Draft:
    """Return the good answer to `ask`."""
    if ask.encoding_format not in (None, "float", "base64"):
        raise InvalidRequest(
            "'encoding_format' must be 'float' or 'base64'.", param="encoding_format"
        )
    inputs = ask.inputs
    data = []
    for index, text in enumerate(inputs):
        packed = pack_embedding(text, ask.dimensions or DEFAULT_DIMENSIONS)
        vector: object = base64.b64encode(packed).decode()
        if ask.encoding_format != "base64":
            vector = struct.unpack(f"<{len(packed) // 4}f", packed)
        data.append({"object": "embedding", "index": index, "embedding": vector})
    tokens = sum(map(count_tokens, inputs))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "data": data, "model": ask.model, "usage": usage}
    return Draft(
        model=ask.model,
        created_at=created_at,
        knobs=knobs,
        streams=False,
        usage=usage,
        body=body,
    )


def pack_embedding(text: str, dimensions: int) -> bytes:
    """Return the unit vector of `text` as little-endian 32-bit floats."""
    vector = [0.0] * dimensions
    for token in split_tokens(text):
        for place in _word_places(token.strip().lower()):
            vector[(place >> 1) % dimensions] += 1.0 if place & 1 else -1.0
    length = math.sqrt(math.fsum(value * value for value in vector))
    if length == 0:
        vector[0] = length = 1.0
    return struct.pack(f"<{dimensions}f", *[value / length for value in vector])


@lru_cache(maxsize=10_000)
def _word_places(word: str) -> tuple[int, ...]:
    digest = hashlib.blake2b(word.encode(), digest_size=8 * _PLACES_PER_WORD).digest()
    return _place.unpack(digest)
