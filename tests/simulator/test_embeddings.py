"""Embeddings are unit vectors, stable, and near for texts that share words."""

import base64
import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.simulator.embeddings import DEFAULT_DIMENSIONS, pack_embedding
from tests.simulator.asking import answer_of, plan_of


def _ask(input_: Any, **more: Any) -> Any:
    body = json.dumps({"model": "sim-embed", "input": input_, **more}).encode()
    return answer_of(plan_of(body, "/v1/embeddings"))


def _vector(text: str, dimensions: int = DEFAULT_DIMENSIONS) -> tuple[float, ...]:
    return struct.unpack(f"<{dimensions}f", pack_embedding(text, dimensions))


def _likeness(one: str, other: str) -> float:
    return sum(a * b for a, b in zip(_vector(one), _vector(other), strict=True))


@given(st.text(), st.integers(1, 300))
def test_vectors_are_of_unit_length(text: str, dimensions: int) -> None:
    """Any text in any number of dimensions, the empty one too, has length one."""
    assert math.hypot(*_vector(text, dimensions)) == pytest.approx(1, abs=1e-5)


def test_shared_words_make_texts_alike() -> None:
    """The more words two texts share, the nearer they lie; case does not count."""
    cat = "the cat sat on the mat"
    assert _likeness(cat, "The CAT sat on the mat") == pytest.approx(1, abs=1e-6)
    near, far = _likeness(cat, "a cat sat on a chair"), _likeness(cat, "quarterly tax report")
    assert near > far + 0.2


def test_floats_and_base64_are_the_same_vector() -> None:
    """base64 is the little-endian 32-bit form of exactly the floats."""
    floats = _ask("hello", encoding_format="float")["data"][0]["embedding"]
    packed = _ask("hello", encoding_format="base64")["data"][0]["embedding"]
    assert list(struct.unpack("<256f", base64.b64decode(packed))) == floats


def test_batches_keep_their_order() -> None:
    """Each input has its vector under its index; token ids are inputs too."""
    batch = _ask(["a b", "c"], dimensions=8)
    assert [item["index"] for item in batch["data"]] == [0, 1]
    assert batch["data"][0]["embedding"] == _ask("a b", dimensions=8)["data"][0]["embedding"]
    assert batch["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert len(_ask([[1, 2], [3]], dimensions=8)["data"]) == 2


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 5000}, "dimensions"),
        ({"input": []}, "input"),
    ],
)
def test_bad_requests_are_refused(more: dict[str, Any], param: str) -> None:
    """What no vector can be made from is an error with its field."""
    assert _ask(**{"input_": more.pop("input", "x"), **more})["error"]["param"] == param
