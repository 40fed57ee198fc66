"""
Rows C12 to C23 and C27: what stands in a body, told in the client's terms.

As amended: of a name that came twice the last one counts, numbers are judged in the values that
this proxy reads, elements are not counted. Every refusal comes before a provider is asked.
"""

import gzip
import json
import time
from typing import Any

import msgspec
import pytest

from proxy.domain.identity import Caller
from tests.canaries import PROMPT, PROMPT_MARK
from tests.fakes.proxy_server import (
    ANSWER,
    HASHER,
    KEY,
    build_provider,
    build_snapshot,
    serving,
)
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering
from tests.faults.asking import asking
from tests.faults.oracle import judging
from tests.faults.raw_client import Outcome

SAID = '"messages":[{"role":"user","content":"' + PROMPT + '"}]'
GOOD = ('{"model":"m",' + SAID + "}").encode()
INVALID = "invalid_request_error"
"""The type of errors that have a `param` instead of a code."""


def check_answered(outcome: Outcome) -> None:
    """Check that a request got its whole answer."""
    assert outcome.verdict == ("answer", 200, None), outcome


def build_text(**raw: str) -> bytes:
    """Return a good chat request with further fields, whose values are JSON as it stands."""
    more = "".join(f',"{name}":{value}' for name, value in raw.items())
    return GOOD[:-1] + more.encode() + b"}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" \n", id="blank"),
        pytest.param(GOOD[:-9], id="cut"),
        pytest.param(GOOD.replace(b":", b"=", 1), id="broken"),
        pytest.param(GOOD.replace(b'"', b"'"), id="single quotes"),
        pytest.param(b"\xef\xbb\xbf" + GOOD, id="byte order mark"),
        pytest.param(GOOD + GOOD, id="two documents"),
        pytest.param(GOOD + b"\0", id="NUL behind it"),
        pytest.param(b"[" + GOOD + b"]", id="a list"),
        pytest.param(b'"' + PROMPT.encode() + b'"', id="a string"),
        pytest.param(GOOD.decode().encode("utf-16-le"), id="UTF-16"),
    ],
)
async def test_c12_a_body_that_is_no_json_object(body: bytes) -> None:
    """C12: 400 `invalid_json`; the message repeats nothing of the body."""
    async with asking() as asked:
        outcome = await asked.post(body)
        asked.check_refused(outcome, 400, "invalid_json")
        assert PROMPT_MARK not in outcome.error["message"]


@pytest.mark.parametrize(
    ("body", "at"), [(GOOD[:-1] + b",]", len(GOOD)), (GOOD[:-1] + b";", len(GOOD) - 1)]
)
async def test_c12_the_place_is_told(body: bytes, at: int) -> None:
    """C12: the message names the byte at which the body stops being JSON."""
    async with asking() as asked:
        outcome = await asked.post(body)
        asked.check_refused(outcome, 400, "invalid_json")
        assert f"byte {at}" in outcome.error["message"]


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [65, 100_000])
async def test_c13_nesting(depth: int, opening: bytes, closing: bytes) -> None:
    """C13: more than 64 levels, complete or not, are 400 `json_too_deep`."""
    deep = opening * depth + b"1" + closing * depth
    async with asking() as asked:
        outcome = await asked.post(GOOD[:-1] + b',"x_new":' + deep + b"}")
        asked.check_refused(outcome, 400, "json_too_deep")


async def test_c13_sixty_three_levels_below_the_top_pass() -> None:
    """C13: what nests as deep as is allowed goes upstream as it came."""
    deep = b"[" * 63 + b"1" + b"]" * 63
    async with asking() as asked:
        outcome = await asked.post(GOOD[:-1] + b',"x_new":' + deep + b"}")
        check_answered(outcome)
        assert deep in asked.upstream.requests[0][2]


async def test_c14_of_a_name_that_came_twice_the_last_counts() -> None:
    """C14, amended: both sides read the last value; the first does not go upstream."""
    body = b'{"model":"none",' + SAID.encode() + b',"max_tokens":5,"model":"m","max_tokens":7}'
    async with asking() as asked:
        check_answered(await asked.post(body))
        sent = asked.upstream.requests[0][2]
        assert sent.count(b'"model"') == 1
        assert sent.count(b'"max_') == 1
        assert b":7" in sent
        assert b"none" not in sent


async def test_c14_names_inside_of_values_are_left_alone() -> None:
    """C14, amended: what came twice below the top level goes upstream byte for byte."""
    async with asking() as asked:
        check_answered(await asked.post(build_text(x_new='{"a":1, "a":2}')))
        assert b'{"a":1, "a":2}' in asked.upstream.requests[0][2]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
async def test_c15_numbers_that_are_none(number: str) -> None:
    """C15: a value that is read and is no finite number is a 400, and never goes upstream."""
    async with asking() as asked:
        outcome = await asked.post(build_text(temperature=number))
        asked.check_refused(outcome, 400, "invalid_number", "temperature")


async def test_c15_numbers_that_are_not_read_pass() -> None:
    """C15, amended: a huge number in a field that this proxy does not read keeps its digits."""
    async with asking() as asked:
        check_answered(await asked.post(build_text(x_new='{"x":1e999}')))
        assert b'{"x":1e999}' in asked.upstream.requests[0][2]


@pytest.mark.parametrize(
    "text", [rb"\ud800", rb"\udc00", rb"\ud800\ud800", rb"a\udfffb", rb"\\\ud83d"]
)
async def test_c16_half_of_a_surrogate_pair(text: bytes) -> None:
    """C16: half of a surrogate pair is no character: 400 `invalid_unicode`."""
    async with asking() as asked:
        outcome = await asked.post(GOOD.replace(PROMPT.encode(), text))
        asked.check_refused(outcome, 400, "invalid_unicode")


@pytest.mark.parametrize("text", [b"\xff", b"caf\xe9", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90"])
async def test_c16_bytes_that_are_not_utf8(text: bytes) -> None:
    """C12, C16: Latin-1 and every other broken UTF-8 is 400 and names the byte."""
    async with asking() as asked:
        outcome = await asked.post(GOOD.replace(PROMPT.encode(), text))
        asked.check_refused(outcome, 400, "invalid_unicode")
        assert "byte" in outcome.error["message"]


async def test_c16_nul_in_a_prompt_passes_and_in_a_name_does_not() -> None:
    """C16: NUL is a character of a prompt like any other, and none of a model's name."""
    async with asking() as asked:
        body = GOOD.replace(PROMPT.encode(), rb"a\u0000b")
        outcome = await asked.post(body.replace(b'"m"', rb'"m\u0000"', 1))
        assert outcome.verdict == ("refused", 404, "model_not_found")
        assert "\0" not in outcome.error["message"]
        assert asked.upstream.requests == []
        check_answered(await asked.post(body))
        assert asked.sent()["messages"][0]["content"] == "a\0b"


@pytest.mark.parametrize("name", ["max_tokens", "n", "seed"])
async def test_c17_five_thousand_digits(name: str) -> None:
    """C17: an integer that no machine holds is a 400 with its `param` where it is read."""
    async with asking() as asked:
        outcome = await asked.post(build_text(**{name: "1" + "0" * 4999}))
        asked.check_refused(outcome, 400, "invalid_number", name)


async def test_c17_digits_that_are_not_read_pass() -> None:
    """C17, amended: five thousand digits in a field that is not read go upstream as they came."""
    digits = "7" * 5000
    async with asking() as asked:
        check_answered(await asked.post(build_text(x_new=f'{{"x":{digits}}}')))
        assert digits.encode() in asked.upstream.requests[0][2]


@pytest.mark.parametrize("value", ["-1", "0", str(2**63), "1.5", "true", '"10"', "[]", "{}"])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_c18_limits_of_tokens(name: str, value: str) -> None:
    """C18: what is no integer from 1 on is a 400 with `param`; a boolean is no integer."""
    async with asking() as asked:
        outcome = await asked.post(build_text(**{name: value}))
        assert outcome.verdict[:2] == ("refused", 400)
        assert outcome.code in (INVALID, "invalid_number")
        assert outcome.error["param"] == name
        assert asked.upstream.requests == []


@pytest.mark.parametrize("name", ["max_tokens", "temperature", "n", "stream", "stream_options"])
async def test_c18_null_is_absent(name: str) -> None:
    """C18: null means the same as leaving a field out."""
    async with asking() as asked:
        check_answered(await asked.post(build_text(**{name: "null"})))


async def test_c19_a_forbidden_model_is_an_unknown_one() -> None:
    """C19: a name that this key may not ask for and one that nobody knows get the same 404."""
    script = answering(ANSWER)
    async with open_raw_upstream(script) as upstream:
        snapshot = build_snapshot(build_provider(upstream.url, models=("mine", "hers")))
        caller = Caller(HASHER.key_id(KEY), models=frozenset({"mine"}))
        snapshot = msgspec.structs.replace(snapshot, callers={HASHER.digest(KEY): caller})
        async with judging(serving(snapshot)) as judge:
            told = [await judge.ask(model=name) for name in ("hers", "none", "up/hers", "up/none")]
            check_answered(await judge.ask(model="mine"))
    assert [outcome.verdict for outcome in told] == [("refused", 404, "model_not_found")] * 4
    assert [outcome.error["param"] for outcome in told] == ["model"] * 4
    messages = [outcome.error["message"] for outcome in told]
    assert messages[0].replace("hers", "none") == messages[1]
    assert messages[2].replace("hers", "none") == messages[3]
    names = [{name for name in outcome.reply.headers} for outcome in told]
    assert names[0] == names[1] == names[2] == names[3]
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "null"),
        ("model", "5"),
        ("model", '["m"]'),
        ("model", '""'),
        ("messages", "null"),
        ("messages", "{}"),
        ("messages", "[]"),
        ("messages", '"hello"'),
        ("messages", "[5]"),
        ("messages", "[{}]"),
        ("messages", '[{"role":5}]'),
        ("stream", '"true"'),
        ("stream", "1"),
        ("stream_options", "[]"),
        ("stream_options", '{"include_usage":"yes"}'),
        ("temperature", '"hot"'),
        ("temperature", "true"),
        ("temperature", "2.1"),
        ("temperature", "-0.1"),
        ("n", "0"),
        ("n", "1.5"),
        ("n", "129"),
    ],
)
async def test_c20_wrong_types_and_values(name: str, value: str) -> None:
    """C20: a field of another type or out of its range is a 400 that names it in `param`."""
    fields = {"model": '"m"', "messages": "[{" + '"role":"user","content":"x"' + "}]"}
    text = ",".join(f'"{key}":{raw}' for key, raw in {**fields, name: value}.items())
    async with asking() as asked:
        outcome = await asked.post(f"{{{text}}}".encode())
        assert outcome.verdict[:2] == ("refused", 400)
        assert outcome.error["type"] == INVALID
        assert outcome.error["param"] == name
        assert asked.upstream.requests == []


@pytest.mark.parametrize("count", [2_049, 100_000])
async def test_c20_too_many_messages(count: int) -> None:
    """C20: more than 2,048 messages are a 400 with `param`."""
    async with asking() as asked:
        outcome = await asked.post(messages=[{"role": "user", "content": "x"}] * count)
        assert outcome.verdict[:2] == ("refused", 400)
        assert outcome.error["param"] == "messages"
        assert asked.upstream.requests == []


async def test_c20_unknown_fields_pass() -> None:
    """C20: fields that this proxy does not know go upstream as they came."""
    async with asking() as asked:
        check_answered(await asked.post(build_text(top_k='{"is":  "new"}')))
        assert b'"top_k":{"is":  "new"}' in asked.upstream.requests[0][2]


@pytest.mark.parametrize(
    "name", ["api_base", "base_url", "custom_host", "api_key", "extra_headers"]
)
@pytest.mark.parametrize("value", ['"http://127.0.0.1:1/"', "null", "{}"])
async def test_c20_nobody_says_where_a_request_goes(name: str, value: str) -> None:
    """C20, A12: a field that some gateway would take as an address or a key is refused."""
    async with asking() as asked:
        outcome = await asked.post(build_text(**{name: value}))
        asked.check_refused(outcome, 400, "unsupported_parameter", name)


@pytest.mark.parametrize(
    "name",
    [
        "\uff4d",  # fullwidth
        "м",  # Cyrillic
        "m\u200b",
        "M",
        " m",
        "m ",
        "m\u0301",
        "none",
        "up/",
        "/m",
        "up//m",
        "\u202em",
    ],
)
async def test_c21_names_are_compared_byte_by_byte(name: str) -> None:
    """C21: a name that only looks like a model's is unknown."""
    async with asking() as asked:
        asked.check_refused(await asked.post(model=name), 404, "model_not_found", "model")


async def test_c21_a_megabyte_of_a_name() -> None:
    """C21: a name of 1 MB is unknown, and is carried back neither in the answer nor in its head."""
    async with asking() as asked:
        outcome = await asked.post(model="m" * 1_000_000)
        asked.check_refused(outcome, 404, "model_not_found", "model")
        assert len(outcome.reply.body) < 1000
        assert len(outcome.reply.head) < 1000
        record = await asked.judge.read_record(outcome)
        assert len(record.alias or "") <= 256


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x", "GZIP"])
@pytest.mark.parametrize("body", [gzip.compress(GOOD), b"no gzip at all", b""])
async def test_c22_compressed_bodies(encoding: str, body: bytes) -> None:
    """C22, A36: nothing is inflated: 415 `unsupported_encoding`, whether good or broken."""
    async with asking() as asked:
        outcome = await asked.post(body, {"Content-Encoding": encoding})
        asked.check_refused(outcome, 415, "unsupported_encoding")


async def test_c22_identity_is_no_compression() -> None:
    """C22: a body that says it is as it is passes."""
    async with asking() as asked:
        check_answered(await asked.post(GOOD, {"Content-Encoding": "identity"}))


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=" + "x" * 70,
        "application/jsonp",
        "application/json, text/plain",
        "text/json+plain",
        "json",
        "*/*",
    ],
)
async def test_c23_other_content_types(media_type: str) -> None:
    """C23: what does not call itself JSON is 415, and the message says what to send."""
    async with asking() as asked:
        outcome = await asked.post(GOOD, {"Content-Type": media_type})
        asked.check_refused(outcome, 415, "unsupported_media_type")
        assert "application/json" in outcome.error["message"]


async def test_c23_no_content_type() -> None:
    """C23: a body of no type at all is 415."""
    async with asking() as asked:
        request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        request += b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
        outcome = await asked.post_raw(request % (KEY.encode(), len(GOOD), GOOD))
        asked.check_refused(outcome, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.api+json",
        "application/json;",
    ],
)
async def test_c23_every_way_to_say_json(media_type: str) -> None:
    """C23: parameters and case do not matter, and `+json` is JSON."""
    async with asking() as asked:
        check_answered(await asked.post(GOOD, {"Content-Type": media_type}))


HOSTILE: dict[str, Any] = {
    "empty lists": b"[" + b"[]," * 2_999_999 + b"[]]",
    "empty objects": b"[" + b"{}," * 2_999_999 + b"{}]",
    "numbers": b"[" + b"1," * 4_499_999 + b"1]",
    "quotes": b'"' + b'\\"' * 4_500_000 + b'"',
    "names": b"{" + b",".join(b'"n%015d":0' % number for number in range(490_000)) + b"}",
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_c27_nine_megabytes_of_structure(kind: str) -> None:
    """C27: 9 MB made to be slow to parse cost less than half a second, at ten times that here."""
    async with asking() as asked:
        body = GOOD[:-1] + b',"x_new":' + HOSTILE[kind] + b"}"
        before_s = time.process_time()
        outcome = await asked.post(body)
        assert time.process_time() - before_s < 5.0
        check_answered(outcome)
        assert json.loads(asked.upstream.requests[0][2])["model"] == "m"
