"""
Mutated request bodies, each from a seed and a number alone, and what a good one must be.

`build_body_case` is told a seed and a number and always returns the same case for them, so
that a failure is found again by both. `is_good` is a second, slower opinion on bodies, by
Python's own json: only what it calls good may be answered with 200.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from math import inf
from random import Random
from typing import Any

from msgspec import Struct

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
MODELS = ("sim-echo", "sim-embed", "simulator/sim-echo", "simulator/sim-embed")
DEEPEST = 64
LARGEST_CHARACTERS = 200_000


class BodyCase(Struct, frozen=True):
    """One body and where it goes."""

    path: str
    body: bytes


_SEEDS: tuple[tuple[str, dict[str, Any]], ...] = (
    (CHAT, {"model": "sim-echo", "messages": [{"role": "user", "content": "hi"}]}),
    (
        CHAT,
        {
            "model": "simulator/sim-echo",
            "messages": [
                {"role": "system", "content": "Be \u00e9xact."},
                {"role": "user", "content": [{"type": "text", "text": "a \U0001f600 b"}]},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.5,
            "max_tokens": 9,
            "stop": ["x", "y"],
            "seed": 7,
        },
    ),
    (
        CHAT,
        {
            "model": "sim-echo",
            "messages": [{"role": "user", "content": "call it", "name": "u"}],
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
                }
            ],
            "n": 2,
            "top_p": 1,
            "presence_penalty": -1.5,
            "user": "someone",
            "metadata": {"a": "b"},
            "logit_bias": {"5": 1},
        },
    ),
    (COMPLETIONS, {"model": "sim-echo", "prompt": ["one", "two"], "max_tokens": 5, "stream": True}),
    (COMPLETIONS, {"model": "sim-echo", "prompt": "three", "stop": "e", "echo": True}),
    (EMBEDDINGS, {"model": "sim-embed", "input": ["a", "b"], "encoding_format": "base64"}),
    (EMBEDDINGS, {"model": "sim-embed", "input": [1, 2, 3], "dimensions": 8}),
)

_TOKENS = (
    *(b"NaN", b"-Infinity", b"1e999", b"-1e-999", b"1" * 5000, b"0.1" + b"0" * 400, b"-0", b"01"),
    *(rb'"\ud800"', rb'"\udc00\ud800"', rb'"\u0000"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc3"'),
    *(b"\xef\xbb\xbf", b"\x00", b"\r\n", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":"),
    *(b"true", b"null", b"{}", b"[]", b"'x'", b"/**/", b"undefined", b"\xe2\x80\xa8", b"0x10"),
    *(b"[" * 63, b"]" * 63, b'{"a":' * 63, b"[" * 70, b"{" * 200, b'"' + b"x" * 9000 + b'"'),
    *(b'"model":"sim-echo"', b'"api_base":"http://127.0.0.1:1"', b'"n":128', b'"stream":true'),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 2**31, 2**63, 2**64, -(2**63) - 1, 1e308, 10**300, 1e-300),
    *("", "10", "x" * 300, "sim-embed", "m\x00", "\uff47pt-4", "../../etc/passwd", "\u202e", "*"),
    *("http://127.0.0.1:1/v1", "a\r\nx-evil: 1", "sim-echo/", "/", "simulator/", "'; DROP TABLE"),
    *([], {}, [[]], [{}], {"": ""}, [None], ["a", 1], [[1], ["a"]], [True] * 50, {"role": "user"}),
    *([{"role": "user"}] * 3, {"include_usage": 1}, [1.5, 2], ["", "", ""]),
)
_NAMES = (
    *("model", "messages", "prompt", "input", "stream", "stream_options", "n", "max_tokens"),
    *("max_completion_tokens", "temperature", "top_p", "stop", "seed", "tools", "tool_choice"),
    *("user", "metadata", "logit_bias", "response_format", "presence_penalty", "dimensions"),
    *("encoding_format", "parallel_tool_calls", "frequency_penalty", "suffix", "echo", "logprobs"),
    *("api_base", "base_url", "api_key", "extra_headers", "custom_host", "", "\x00", "\u00e9"),
)


def build_body_case(seed: int, number: int) -> BodyCase:
    """Return case `number` of a seed: mostly broken, some merely odd, a few quite good."""
    random = Random(seed * 1_000_003 + number)
    path, value = random.choice(_SEEDS)
    if random.random() < 0.6:
        value = deepcopy(value)
        for _ in range(random.choice((1, 1, 2, 4))):
            random.choice(_ON_VALUES)(random, value)
    body = _write(random, value)
    if random.random() < 0.5:
        for _ in range(random.choice((1, 1, 2, 5))):
            body = random.choice(_ON_BYTES)(random, body)
    return BodyCase(path, body)


def is_good(case: BodyCase) -> bool:
    """Return whether a body asks for something that this proxy and its simulator could do."""
    try:
        text = case.body.decode()
        value = json.loads(text, parse_constant=_refuse_constant, parse_int=_read_integer)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    if not isinstance(value, dict) or _measure_depth(value) > DEEPEST:
        return False
    if value.get("model") not in MODELS or {"api_base", "base_url", "api_key"} & value.keys():
        return False
    if case.path == EMBEDDINGS:
        return isinstance(value.get("input"), str | list)
    fits = _is_number(value.get("temperature"), 0, 2) and _is_number(value.get("top_p"), 0, 1)
    fits &= _is_count(value.get("n"), 128) and _is_count(value.get("max_tokens"), 2**31 - 1)
    fits &= isinstance(value.get("stream"), bool | None)
    if case.path == COMPLETIONS:
        return fits and isinstance(value.get("prompt"), str | list)
    messages = value.get("messages")
    if not isinstance(messages, list) or not 1 <= len(messages) <= 2048:
        return False
    return fits and all(isinstance(m, dict) and isinstance(m.get("role"), str) for m in messages)


def _is_number(value: object, low: float, high: float) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and value is not True and low <= value <= high


def _is_count(value: object, highest: int) -> bool:
    return value is None or (type(value) is int and 1 <= value <= highest)


def _refuse_constant(text: str) -> None:
    raise ValueError(text)


def _read_integer(text: str) -> float:
    # Python reads 4,300 digits and no more; what is not looked at may have any number of them.
    return int(text) if len(text) < 400 else inf


def _measure_depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_measure_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_measure_depth, value), default=0)
    return 0


def _write(random: Random, value: Any) -> bytes:
    style = random.random()
    indent = 1 if style < 0.05 else None
    return json.dumps(value, ensure_ascii=style < 0.5, indent=indent).encode()


def _pick_place(random: Random, value: Any) -> tuple[Any, Any]:
    """Return a container and a key in it, anywhere in a value."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return value, None
        key = random.choice(keys)
        if not isinstance(value[key], dict | list) or random.random() < 0.4:
            return value, key
        value = value[key]


def _swap_value(random: Random, value: Any) -> None:
    place, key = _pick_place(random, value)
    if key is not None:
        place[key] = deepcopy(random.choice(_VALUES))


def _add_field(random: Random, value: Any) -> None:
    value[random.choice(_NAMES)] = deepcopy(random.choice(_VALUES))


def _remove(random: Random, value: Any) -> None:
    place, key = _pick_place(random, value)
    if key is not None:
        del place[key]


def _bury(random: Random, value: Any) -> None:
    """Wrap a value in many lists or objects, around the limit."""
    place, key = _pick_place(random, value)
    if key is not None:
        inner = place[key]
        for _ in range(random.choice((3, 55, 60, 61, 62, 63, 64, 65, 200))):
            inner = [inner] if random.random() < 0.5 else {"k": inner}
        place[key] = inner


def _lengthen(random: Random, value: Any) -> None:
    place, key = _pick_place(random, value)
    if key is not None:
        size = random.choice((100, 1000, 1000, 9000))
        place[key] = random.choice(("x", "\u00e9", "\U0001f600", '"', "\\", "{", "\x00")) * size


def _repeat(random: Random, value: Any) -> None:
    place, key = _pick_place(random, value)
    if isinstance(place, list) and key is not None:
        # Only small things very often: what megabytes cost is measured elsewhere.
        most = LARGEST_CHARACTERS // (1 + len(str(place[key])))
        place.extend([place[key]] * min(most, random.choice((1, 5, 50, 2048))))


def _flip(random: Random, body: bytes) -> bytes:
    mutable = bytearray(body)
    for _ in range(random.choice((1, 1, 2, 8))):
        if mutable:
            mutable[random.randrange(len(mutable))] ^= 1 << random.randrange(8)
    return bytes(mutable)


def _cut(random: Random, body: bytes) -> bytes:
    return body[: random.randrange(len(body) + 1)]


def _drop_slice(random: Random, body: bytes) -> bytes:
    start = random.randrange(len(body) + 1)
    return body[:start] + body[start + random.randrange(1, 20) :]


def _insert(random: Random, body: bytes) -> bytes:
    place = random.randrange(len(body) + 1)
    return body[:place] + random.choice(_TOKENS) + body[place:]


def _replace_value(random: Random, body: bytes) -> bytes:
    """Put a token where a value stands, so that the rest stays as it was."""
    start = body.find(b":", random.randrange(len(body) + 1))
    end = body.find(b",", start)
    if start < 0 or end < 0:
        return body
    return body[: start + 1] + random.choice(_TOKENS) + body[end:]


def _splice(random: Random, body: bytes) -> bytes:
    other = _write(random, random.choice(_SEEDS)[1])
    return body[: random.randrange(len(body) + 1)] + other[random.randrange(len(other)) :]


def _append(random: Random, body: bytes) -> bytes:
    return body + random.choice((b" ", b"\n", b"{}", b",", b"\x00", b'{"model":"m"}', body))


def _duplicate_name(random: Random, body: bytes) -> bytes:
    name = json.dumps(random.choice(_NAMES)).encode()
    value = json.dumps(random.choice(_VALUES)).encode()
    return body.rstrip().removesuffix(b"}") + b"," + name + b":" + value + b"}"


_ON_VALUES: tuple[Callable[[Random, Any], None], ...] = (
    *(_swap_value, _swap_value, _swap_value, _add_field, _add_field, _remove),
    *(_bury, _lengthen, _repeat),
)
_ON_BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(_flip, _flip, _cut, _drop_slice, _insert, _insert, _replace_value, _splice, _append),
    _duplicate_name,
)
