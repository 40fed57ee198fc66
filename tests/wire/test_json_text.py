"""Tests of `proxy/wire/json_text.py`."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.json_text import (
    MAX_DEPTH,
    MAX_NAMES,
    JsonError,
    build_object,
    check_depth,
    check_names,
    holds_too_many_values,
    mend_text,
    parse_object,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text('"[]{}\\')
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def nest(pattern: str, depth: int) -> bytes:
    """A body whose brackets are `depth` deep, the outermost the object itself."""
    opened = [pattern[position % len(pattern)] for position in range(depth - 1)]
    text = "".join('{"k":' if bracket == "{" else "[" for bracket in opened)
    closed = "".join("}" if bracket == "{" else "]" for bracket in reversed(opened))
    return f'{{"deep":{text}1{closed}}}'.encode()


def refused(body: bytes) -> JsonError:
    with pytest.raises(JsonError) as found:
        parse_object(body)
    return found.value


def refusal(body: bytes) -> str:
    return str(refused(body))


@given(st.dictionaries(st.text(), VALUES), st.booleans(), st.sampled_from([None, 1]))
def test_what_goes_out_means_what_came_in(
    value: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    """Splitting and rebuilding changes no value, however the JSON was written."""
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert json.loads(build_object(parse_object(body))) == value


@given(st.dictionaries(st.text(), VALUES, min_size=1))
def test_values_that_are_not_read_stay_byte_identical(value: dict[str, Any]) -> None:
    """Each value leaves as the very bytes that it came as."""
    members = {name: json.dumps(item).encode() for name, item in value.items()}
    body = b" , ".join(json.dumps(name).encode() + b" : " + raw for name, raw in members.items())
    fields = parse_object(b"{ " + body + b" }")
    assert {name: bytes(raw) for name, raw in fields.items()} == members


@pytest.mark.parametrize(
    "raw",
    [
        b"1.10",
        b"1e999",
        b"123456789012345678901234567890123",
        b"-0",
        b"1" * 5000,
        rb'"\u00e9\/\ud83d\ude00"',
        b'{"a": 1, "a" : 2}',
    ],
    ids=str,
)
def test_digits_and_escapes_keep_their_spelling(raw: bytes) -> None:
    """Numbers of any size, escapes and blanks inside a value are not touched."""
    assert build_object(parse_object(b'{"x":' + raw + b"}")) == b'{"x":' + raw + b"}"


def test_of_a_name_that_comes_twice_the_last_value_counts_and_leaves_once() -> None:
    """A duplicated name, however it is spelled, cannot mean two things to two readers."""
    body = rb'{"model":"cheap","n":1,"m\u006fdel":"dear"}'
    assert build_object(parse_object(body)) == b'{"model":"dear","n":1}'


@pytest.mark.parametrize("pattern", ["[", "{", "[{", "{[", "[[{", "{{["])
def test_nesting_is_taken_to_the_limit_and_not_beyond(pattern: str) -> None:
    """64 levels are taken and 65 refused, whatever brackets they are made of."""
    assert parse_object(nest(pattern, MAX_DEPTH))
    assert "deeper than 64" in refusal(nest(pattern, MAX_DEPTH + 1))


@pytest.mark.parametrize("pattern", ["[", "{", "[{"])
def test_a_deep_place_is_found_among_many_flat_ones(pattern: str) -> None:
    """Brackets beside the deep place, before and behind it, change nothing."""
    flat = b'{"a":[' + b'[],{},[[]],{"x":[{}]},' * 500 + b"0],"
    deep = nest(pattern, MAX_DEPTH)
    assert parse_object(flat + b'"b":' + deep[8:-1] + b',"c":' + b"[[[]]]}")
    too_deep = nest(pattern, MAX_DEPTH + 1)
    assert "deeper" in refusal(flat + b'"b":' + too_deep[8:-1] + b',"c":[[[]]]}')


@pytest.mark.parametrize(
    "text",
    ["[" * 500, "]" * 500, '\\"' + "{" * 500, "\\\\", '[\\\\\\"[' * 100, "\\" * 200 + "[" * 99],
)
def test_brackets_in_strings_do_not_count(text: str) -> None:
    """A string may hold any number of brackets, quotes and backslashes."""
    value = {text: [text, text], "other": {"x": text}}
    body = json.dumps(value).encode()
    assert json.loads(build_object(parse_object(body))) == value


@given(VALUES)
def test_the_depth_is_the_one_that_a_plain_count_finds(value: Any) -> None:
    """The quick check agrees with counting brackets one by one outside of strings."""
    text = json.dumps(value).encode()
    depth = plain_depth(text)
    check_depth(text, limit=depth)
    if depth:
        with pytest.raises(JsonError):
            check_depth(text, limit=depth - 1)


def plain_depth(text: bytes) -> int:
    deepest = depth = 0
    inside = escaped = False
    for byte in text.decode():
        if escaped:
            escaped = False
        elif inside:
            escaped = byte == "\\"
            inside = byte != '"'
        elif byte == '"':
            inside = True
        elif byte in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in "]}":
            depth -= 1
    return deepest


HOSTILE = {
    "flat": b'{"a":[' + b"[]," * 3_000_000 + b"[]]}",
    "one deep hole": b'{"a":' + b"[" * 4_500_000 + b"]" * 4_500_000 + b"}",
    "saw": b'{"a":[' + (b"[" * 62 + b"]" * 62 + b",") * 72_000 + b"[]]}",
    "empty strings": b'{"a":[' + b'"",' * 3_000_000 + b"[]" * 40 + b"]}",
    "strings of brackets": b'{"a":[' + b'"[",[],' * 1_300_000 + b"[]]}",
    "escapes": b'{"a":"' + rb"\n[" * 3_000_000 + b'"}',
    "backslashes": b'{"a":"' + b"\\" * 9_000_000 + b"[" * 70,
    "escaped quotes": b'{"a":"' + rb"\"[" * 3_000_000 + b'"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_quick(name: str) -> None:
    """9 MB made to be slow are read or refused in well under a second."""
    started_s = time.process_time()
    try:
        parse_object(HOSTILE[name])
    except JsonError as error:
        assert len(str(error)) < 100
    assert time.process_time() - started_s < 1.0


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "byte 0"),
        (b"{", "byte 1"),
        (b'{"canary":', "byte 10"),
        (b'{"canary":1} canary', "byte 14"),
        (b'{"canary":1}{"b":2}', "byte 13"),
        (b'{"canary":NaN}', "byte 10"),
        (b'{"canary":-Infinity}', "byte 11"),
        (b'\xef\xbb\xbf{"canary":1}', "byte 0"),
        (b'{"canary":"\xff"}', "byte 11"),
        (b'{"canary":"\xed\xa0\x80"}', "byte 11"),
        (b'{"canary":"' + "é".encode("latin-1") + b'"}', "byte 11"),
        (rb'{"canary":"\ud800"}', "byte 11"),
        (rb'{"canary":"\ud83d\ude00\\ \udc00"}', "byte"),
        (b'{"canary":01}', "byte 11"),
        (b'{"canary":"\n"}', "byte 11"),
        (b"{'canary':1}", "byte 1"),
        (b'{"canary":[1,]}', "byte 13"),
    ],
    ids=str,
)
def test_what_is_no_json_is_refused_with_its_place_and_without_its_content(
    body: bytes, place: str
) -> None:
    """The message says at which byte the text is wrong and shows nothing of it."""
    message = refusal(body)
    assert place in message
    assert "canary" not in message


@pytest.mark.parametrize(
    ("body", "code", "name"),
    [
        (b"", "invalid_json", None),
        (b'{"a":1', "invalid_json", None),
        (b'\xef\xbb\xbf{"a":1}', "invalid_json", None),
        (b'{"a":"caf\xe9"}', "invalid_unicode", None),
        (b'{"a":"\xed\xa0\x80"}', "invalid_unicode", None),
        (rb'{"a":"\ud800"}', "invalid_unicode", None),
        (rb'{"a":["\udfff"],"b":"\ud83d\ude00"}', "invalid_unicode", None),
        (rb'{"\udc00\ud800":1}', "invalid_unicode", None),
        (rb'{"a":"\ud83d\ude00\\ud800","b":oops}', "invalid_json", None),
        (b'{"a":NaN}', "invalid_number", "a"),
        (b'{"x":[1],"top_p" :\n-Infinity,"z":1}', "invalid_number", "top_p"),
        (b'{"a":{"b":NaN}}', "invalid_number", None),
        (b'{"a":[NaN]}', "invalid_number", None),
        (rb'{"x\"a":NaN}', "invalid_number", None),
        (b'{"a":nan}', "invalid_json", None),
        (b"[" * 65, "json_too_deep", None),
    ],
    ids=repr,
)
def test_the_kind_of_a_fault_is_told(body: bytes, code: str, name: str | None) -> None:
    """A code says what is wrong; a top-level name that holds no number is named."""
    error = refused(body)
    assert (error.code, error.name) == (code, name)


def test_a_body_may_have_half_a_million_names() -> None:
    """Names are counted at all depths and outside of strings; values of lists are not."""
    pair = b'{"a":":::::","b":[1,2]},'
    good = b'{"x":[' + pair * (MAX_NAMES // 2 - 1) + b'{}],"y":"' + b'\\":' * MAX_NAMES + b'"}'
    assert len(parse_object(good)) == 2
    assert refused(good[:-1] + b',"z":1}').code == "too_many_names"
    assert "500000 names" in refusal(b"{" + b'"a":1,' * MAX_NAMES + b'"a":1}')


@given(VALUES, st.integers(0, 9))
def test_names_are_counted_as_a_reader_counts_them(value: Any, limit: int) -> None:
    """The quick count agrees with counting the names of the decoded value."""
    text = json.dumps(value).encode()
    if count_names(value) <= limit:
        check_names(text, limit)
    else:
        with pytest.raises(JsonError):
            check_names(text, limit)


def count_names(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(count_names, value.values()))
    return sum(map(count_names, value)) if isinstance(value, list) else 0


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true", b"[[[]]]"])
def test_only_an_object_is_a_body(body: bytes) -> None:
    """A JSON text that is no object is refused as that."""
    assert refusal(body) == "The body must be a JSON object."


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No input raises anything but JsonError."""
    try:
        parse_object(body)
    except JsonError:
        return


@given(st.text(st.characters()))
def test_mended_text_can_be_read_and_says_the_same(text: str) -> None:
    """Halves of pairs become U+FFFD, all else stays; whole text comes back as it is."""
    whole = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    mended = json.loads(mend_text(json.dumps({"x": text}).encode()))["x"]
    if "\ufffd" not in whole:
        assert mended == text
    else:
        assert not any("\ud800" <= c <= "\udfff" for c in mended)
        assert len(mended) <= len(text)


def test_broken_bytes_are_mended_inside_strings_only() -> None:
    """A character cut in two costs one U+FFFD and no byte of structure."""
    assert json.loads(mend_text(b'{"x":"caf\xc3","y":"\xff"}')) == {"x": "caf\ufffd", "y": "\ufffd"}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"[[],[],[]]", 6),
        (b'{"a":{},"b":[1,2,3]}', 6),
        (rb'{"a":"[,{,\"[[[[[","b":"\\"}', 2),
        (b'"[[[[[[[[[["', 0),
        (b'["a","b","[,"]', 3),
    ],
)
def test_values_are_counted_outside_of_strings(text: bytes, count: int) -> None:
    """Each bracket and comma begins a value; what stands in a string begins none."""
    assert not holds_too_many_values(text, count)
    assert count == 0 or holds_too_many_values(text, count - 1)
