"""Tests of `proxy/wire/openai_answer.py`."""

import base64
import json
import struct
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.domain.errors import (
    ProxyError,
    UpstreamOverloaded,
    UpstreamProtocolError,
    UpstreamRejected,
    UpstreamServerError,
    UpstreamTooLarge,
    UpstreamTruncated,
)
from proxy.domain.usage import Usage
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.json_text import MAX_VALUES
from proxy.wire.openai_answer import read_openai_answer

CHAT = Ask("chat", "m", {})
VECTORS = Ask("embeddings", "m", {})
BASE64 = Ask("embeddings", "m", {}, wants_base64=True)
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi"},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    "x_unknown": 1e-7,
}


class Marking:
    """A Repair that leaves a mark."""

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        return value | {"repaired": True}

    def finish(self) -> None:
        return None


def vectors(*embeddings: object) -> bytes:
    data = [
        {"object": "embedding", "index": index, "embedding": embedding, "x": 1.10}
        for index, embedding in enumerate(embeddings)
    ]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    return json.dumps({"object": "list", "data": data, "model": "m", "usage": usage}).encode()


@pytest.mark.parametrize("blanks", [b"", b"\n\n\n  \r\n"])
def test_a_regular_answer_passes_byte_by_byte(blanks: bytes) -> None:
    """Without a repair the client gets the provider's bytes, blank lines before it too."""
    body = blanks + json.dumps(ANSWER, indent=1).encode()
    assert read_openai_answer(CHAT, body, None) == CheckedAnswer(body, Usage(3, 1))


def test_a_repaired_answer_is_written_anew() -> None:
    """With a repair the client gets what it made."""
    answer = read_openai_answer(CHAT, json.dumps(ANSWER).encode(), Marking())
    assert json.loads(answer.body) == ANSWER | {"repaired": True}
    assert answer.usage == Usage(3, 1)


@pytest.mark.parametrize("repair", [None, Marking()], ids=["pass", "repair"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", UpstreamProtocolError),
        (b"<html>busy</html>", UpstreamProtocolError),
        (b"null", UpstreamProtocolError),
        (b"[]", UpstreamProtocolError),
        (b'{"choices":', UpstreamProtocolError),
        (b"{}", UpstreamProtocolError),
        (b'{"choices":null}', UpstreamProtocolError),
        (b'{"choices":"x"}', UpstreamProtocolError),
        (b'{"choices":[null]}', UpstreamProtocolError),
        (b'{"choices":[{"finish_reason":1}]}', UpstreamProtocolError),
        (b"[" * 100_000, UpstreamProtocolError),
        (b'{"choices":' + b"[" * 100_000, UpstreamProtocolError),
        (b'{"choices":[]}', UpstreamTruncated),
        (b'{"choices":[{"finish_reason":"error"}]}', UpstreamServerError),
        (b'{"error":{"message":"m"}}', UpstreamServerError),
        (b'{"error":{"message":"m","code":503},"choices":[]}', UpstreamOverloaded),
        (b'{"error":{"message":"m","type":"invalid_request_error"}}', UpstreamRejected),
        (b'{"error":"Unexpected endpoint"}', UpstreamServerError),
        (b'{"object":"error","message":"m","code":400}', UpstreamRejected),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else value.__name__,
)
def test_what_is_no_answer_is_an_error(
    body: bytes, kind: type[ProxyError], repair: Marking | None
) -> None:
    """A 200 that holds no answer is told as what it stands for."""
    with pytest.raises(ProxyError) as found:
        read_openai_answer(CHAT, body, repair)
    assert type(found.value) is kind


@pytest.mark.parametrize("repair", [None, Marking()], ids=["pass", "repair"])
@pytest.mark.parametrize("broken", [b"caf\xc3", b"\xff", rb"\ud83d"])
def test_a_broken_character_costs_one_sign_and_not_the_answer(
    broken: bytes, repair: Marking | None
) -> None:
    """Bytes or escapes that are no character become U+FFFD, which is noted."""
    body = json.dumps(ANSWER).encode().replace(b"Hi", broken)
    answer = read_openai_answer(CHAT, body, repair)
    assert "\ufffd" in json.loads(answer.body)["choices"][0]["message"]["content"]
    assert answer.anomalies == ("utf8_replaced",)


@pytest.mark.parametrize(
    ("usage", "anomalies"),
    [
        (None, ()),
        ({}, ("usage_anomaly",)),
        ({"prompt_tokens": -1}, ("usage_anomaly",)),
        ("x", ("usage_anomaly",)),
    ],
    ids=str,
)
def test_usage_that_cannot_be_billed_from_is_estimated(
    usage: object, anomalies: tuple[str, ...]
) -> None:
    """The answer passes; its tokens are a quarter of its bytes; counts that are none are noted."""
    message = {"content": "Hello", "reasoning": "abcd", "reasoning_content": "abcd"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = json.dumps({"choices": choices, "usage": usage}).encode()
    ask = Ask("chat", "m", {"messages": Raw(b"[12345]")})
    expected = CheckedAnswer(body, Usage(2, 3, source="estimated"), anomalies)  # type: ignore[arg-type]
    assert read_openai_answer(ask, body, None) == expected


def test_a_completions_text_and_a_list_of_vectors_are_estimated_too() -> None:
    """Without usage the text counts as output, vectors count as none."""
    ask = Ask("completions", "m", {"prompt": Raw(b'"ab"')})
    body = json.dumps({"choices": [{"text": "h\u00e9llo"}]}).encode()
    assert read_openai_answer(ask, body, None).usage == Usage(1, 2, source="estimated")
    ask = Ask("embeddings", "m", {"input": Raw(b'"abcdefgh"')})
    body = b'{"data":[{"embedding":[1.0]}]}'
    assert read_openai_answer(ask, body, None).usage == Usage(3, 0, source="estimated")


def test_an_explicit_zero_stays_zero() -> None:
    """A provider that says that it costs nothing is believed."""
    usage = {"prompt_tokens": 0, "completion_tokens": 0}
    answer = read_openai_answer(CHAT, json.dumps(ANSWER | {"usage": usage}).encode(), None)
    assert (answer.usage, answer.anomalies) == (Usage(0, 0), ())


def test_vectors_pass_byte_by_byte() -> None:
    """What came in the asked format is not touched."""
    floats, packed = vectors([0.1, -2]), vectors("AAAAAA==")
    assert read_openai_answer(VECTORS, floats, None) == CheckedAnswer(floats, Usage(2, 0))
    assert read_openai_answer(BASE64, packed, None) == CheckedAnswer(packed, Usage(2, 0))


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)), min_size=1))
def test_floats_are_packed_as_little_endian_float32(numbers: list[list[float]]) -> None:
    """Base64 that was asked for is exactly what `struct` packs; all else stays as it was."""
    answer = read_openai_answer(BASE64, vectors(*numbers), None)
    items = json.loads(answer.body)["data"]
    assert [base64.b64decode(item["embedding"]) for item in items] == [
        struct.pack(f"<{len(vector)}f", *vector) for vector in numbers
    ]
    assert [item["index"] for item in items] == list(range(len(numbers)))
    assert answer.usage == Usage(2, 0)
    assert b'"x":1.1' in answer.body


def test_whole_numbers_are_floats_too() -> None:
    """A vector may be written without fractions."""
    body = read_openai_answer(BASE64, vectors([1, 0, -3]), None).body
    packed = base64.b64decode(json.loads(body)["data"][0]["embedding"])
    assert struct.unpack("<3f", packed) == (1.0, 0.0, -3.0)


@pytest.mark.parametrize(
    "vector", [[None], ["1"], [True], [[1.0]], [1e39], [10**400], [{}]], ids=repr
)
def test_a_vector_of_anything_else_is_refused(vector: list[object]) -> None:
    """What cannot be packed is a fault of the provider, never a failure of ours."""
    with pytest.raises(UpstreamProtocolError):
        read_openai_answer(BASE64, vectors(vector), None)


@pytest.mark.parametrize(
    "body", [b"{}", b'{"data":null}', b'{"data":[{"index":0}]}', b'{"data":[1]}']
)
def test_what_holds_no_vectors_is_refused(body: bytes) -> None:
    """An answer to embeddings has a list of vectors."""
    with pytest.raises(UpstreamProtocolError):
        read_openai_answer(VECTORS, body, None)


@given(st.sampled_from([CHAT, VECTORS, BASE64]), st.binary(), st.sampled_from([None, Marking()]))
def test_any_body_is_an_answer_or_an_error_of_ours(
    ask: Ask, body: bytes, repair: Marking | None
) -> None:
    """No body raises anything but a ProxyError."""
    try:
        read_openai_answer(ask, body, repair)
    except ProxyError:
        return


@pytest.mark.parametrize(
    ("ask", "value"),
    [
        (CHAT, {"choices": [{}]}),
        (CHAT, {"choices": [{"message": None}]}),
        (CHAT, {"choices": [{"text": "not a chat"}]}),
        (Ask("completions", "m", {}), {"choices": [{"message": {"content": "not a text"}}]}),
        (Ask("completions", "m", {}), {"choices": [{"text": None}]}),
        (VECTORS, {"data": []}),
        (Ask("embeddings", "m", {}, choices=3), {"data": [{"embedding": [1.0], "index": 0}]}),
    ],
)
def test_an_answer_that_lacks_what_was_asked_for_is_truncated(ask: Ask, value: Any) -> None:
    """A choice without its message or text, and missing vectors, are no success."""
    with pytest.raises(UpstreamTruncated):
        read_openai_answer(ask, json.dumps(value).encode(), None)


@pytest.mark.parametrize("repair", [None, Marking()], ids=["pass", "repair"])
@pytest.mark.parametrize("piece", [b"[],", b'"",', b"1,", b'{"a":{}},'])
def test_an_answer_of_very_many_parts_is_refused(piece: bytes, repair: Marking | None) -> None:
    """What would fill our memory with millions of objects is not taken apart."""
    parts = b"[" + piece * (MAX_VALUES + 1) + b"0]"
    body = b'{"choices":[{"message":{"content":' + parts + b"}}]}"
    started_s = time.process_time()
    with pytest.raises(UpstreamTooLarge) as raised:
        read_openai_answer(CHAT, body, repair)
    assert raised.value.code == "answer_too_large"
    assert time.process_time() - started_s < 2.0


def test_an_error_of_very_many_parts_is_an_error_without_words() -> None:
    """What came as an error in the place of vectors is not taken apart either."""
    parts = b"[" + b"[]," * (MAX_VALUES + 1) + b"0]"
    body = b'{"error":{"message":"m","type":"invalid_request_error","x":' + parts + b"}}"
    with pytest.raises(UpstreamServerError):
        read_openai_answer(VECTORS, body, None)


def test_vectors_may_have_millions_of_numbers() -> None:
    """What is read of vectors is not taken apart, and is not counted."""
    body = b'{"data":[{"embedding":[' + b"0," * (MAX_VALUES + 1) + b"0]}]}"
    assert read_openai_answer(VECTORS, body, None).body == body


def test_a_vector_of_nothing_is_refused() -> None:
    """An embedding that is neither a list nor a text is not the dialect."""
    with pytest.raises(UpstreamProtocolError):
        read_openai_answer(VECTORS, b'{"data":[{"embedding":null,"index":0}]}', None)
