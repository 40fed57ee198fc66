"""What the SDKs raise where a provider of any type fails, before the answer and within it."""

from typing import Any

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tests.end_to_end.asking import ASK
from tests.end_to_end.hub import FAULTS, WORDS_ONLY
from tests.end_to_end.served import KEY, PROVIDER_KEY, WRONG_KEY, ServedProxy, ServedSimulator

pytestmark = pytest.mark.usefixtures("no_leaks")

MAX_TOKENS = 2000
SAME: Any = ASK
BEFORE = [
    ("bad-param", 400, openai.BadRequestError, anthropic.BadRequestError),
    ("context", 400, openai.BadRequestError, anthropic.BadRequestError),
    ("limited", 429, openai.RateLimitError, anthropic.RateLimitError),
    ("quota", 429, openai.RateLimitError, anthropic.RateLimitError),
    ("busy", 503, openai.InternalServerError, anthropic.ServiceUnavailableError),
    ("broken", 502, openai.InternalServerError, anthropic.InternalServerError),
    ("key", 502, openai.InternalServerError, anthropic.InternalServerError),
    ("model", 502, openai.InternalServerError, anthropic.InternalServerError),
]
CODES = {
    "context": "context_length_exceeded",
    "limited": "rate_limit_exceeded",
    "quota": "insufficient_quota",
    "busy": "upstream_overloaded",
    "broken": "upstream_server_error",
    "key": "upstream_auth",
    "model": "upstream_model_not_found",
}
TYPES = {
    400: {"invalid_request_error"},
    429: {"rate_limit_error"},
    502: {"api_error"},
    503: {"api_error", "overloaded_error"},
}
WITHIN = [
    ("error-later", "upstream_overloaded"),
    ("eof", "upstream_truncated"),
    ("eof-close", "upstream_truncated"),
    ("reset", "upstream_disconnected"),
    ("cut", "upstream_disconnected"),
    ("bad-json", "upstream_protocol_error"),
]
"""What goes wrong within a stream, and what the log calls it."""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("fault", "status", "kind", "_"), BEFORE)
async def test_openais_sdk_raises_the_class_of_the_status(
    hub_sdk: AsyncOpenAI,
    maker: str,
    fault: str,
    status: int,
    kind: type[openai.APIStatusError],
    _: object,
    stream: bool,
) -> None:
    """A failure before content is a status with its code, whatever format it came in."""
    with pytest.raises(openai.APIStatusError) as refused:
        await hub_sdk.chat.completions.create(
            model=f"{maker}/{FAULTS[fault]}", messages=ASK, stream=stream
        )
    error = refused.value
    assert (type(error), error.status_code) == (kind, status)
    assert error.message
    assert error.request_id == error.response.headers["x-request-id"]
    if fault in CODES:
        assert error.code == CODES[fault]
    if fault == "limited":
        assert error.response.headers["retry-after"] == "2"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("fault", "status", "_", "kind"), BEFORE)
async def test_anthropics_sdk_raises_the_class_of_the_status(
    claude_sdk: AsyncAnthropic,
    maker: str,
    fault: str,
    status: int,
    _: object,
    kind: type[anthropic.APIStatusError],
    stream: bool,
) -> None:
    """A failure before content is a status in Anthropic's shape, whatever format it came in."""
    with pytest.raises(anthropic.APIStatusError) as refused:
        await claude_sdk.messages.create(
            model=f"{maker}/{FAULTS[fault]}", max_tokens=MAX_TOKENS, messages=SAME, stream=stream
        )
    error = refused.value
    body: Any = error.body
    assert (type(error), error.status_code) == (kind, status)
    assert body["type"] == "error"
    assert body["error"]["type"] in TYPES[status]
    assert body["error"]["message"]
    assert error.request_id == error.response.headers["request-id"] == body["request_id"]
    if fault == "context":
        assert "prompt is too long" in body["error"]["message"]
    if fault == "limited":
        assert error.response.headers["retry-after"] == "2"


async def test_the_sdks_do_not_repeat_what_was_tried(
    hub: ServedProxy, simulator: ServedSimulator, maker: str
) -> None:
    """With the retries that they come with, the provider is still asked once by each of them."""
    await simulator.clear_ledger()
    model = f"{maker}/{FAULTS['busy']}"
    async with AsyncOpenAI(base_url=f"{hub.url}/v1", api_key=KEY) as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model=model, messages=ASK)
    async with AsyncAnthropic(base_url=hub.url, api_key=KEY) as other:
        with pytest.raises(anthropic.ServiceUnavailableError):
            await other.messages.create(model=model, max_tokens=MAX_TOKENS, messages=SAME)
    assert len(await simulator.read_ledger()) == 2


@pytest.mark.parametrize(("fault", "code"), WITHIN)
async def test_a_broken_stream_is_an_error_of_openais_sdk(
    hub_sdk: AsyncOpenAI, hub: ServedProxy, maker: str, fault: str, code: str
) -> None:
    """What was good comes first, then APIError with the cause: never a clean end."""
    if maker in WORDS_ONLY and fault == "error-later":
        code = "upstream_server_error"
    raw = await hub_sdk.chat.completions.with_raw_response.create(
        model=f"{maker}/{FAULTS[fault]}", messages=ASK, stream=True
    )
    chunks = []
    with pytest.raises(openai.APIError) as broken:
        async for chunk in raw.parse():
            chunks.append(chunk)
    assert (broken.value.code, type(broken.value)) == (code, openai.APIError)
    assert "".join([chunk.choices[0].delta.content or "" for chunk in chunks])
    assert [chunk for chunk in chunks if chunk.choices[0].finish_reason] == []
    line = hub.wait_for_request(request_id=raw.headers["x-request-id"])
    assert (line["outcome"], line["error_code"], line["level"]) == ("failed", code, "ERROR")


@pytest.mark.parametrize(("fault", "code"), WITHIN)
async def test_a_broken_stream_is_an_error_of_anthropics_sdk(
    claude_sdk: AsyncAnthropic, hub: ServedProxy, maker: str, fault: str, code: str
) -> None:
    """What was good comes first, then APIStatusError of the stream's own 200, and no end."""
    if maker in WORDS_ONLY and fault == "error-later":
        code = "upstream_server_error"
    raw = await claude_sdk.messages.with_raw_response.create(
        model=f"{maker}/{FAULTS[fault]}", max_tokens=MAX_TOKENS, messages=SAME, stream=True
    )
    events: list[str] = []
    with pytest.raises(anthropic.APIStatusError) as broken:
        async for event in await raw.parse():
            events.append(event.type)
    body: Any = broken.value.body
    assert broken.value.status_code == 200
    assert (body["type"], body["request_id"]) == ("error", raw.headers["request-id"])
    assert body["error"]["type"] in {"api_error", "overloaded_error"}
    assert events[:3] == ["message_start", "content_block_start", "content_block_delta"]
    assert "message_stop" not in events
    line = hub.wait_for_request(request_id=raw.headers["request-id"])
    assert (line["outcome"], line["error_code"], line["level"]) == ("failed", code, "ERROR")


@pytest.mark.parametrize("fault", ["eof", "eof-close", "reset", "cut", "bad-json"])
async def test_a_broken_whole_answer_is_an_error(
    hub_sdk: AsyncOpenAI, claude_sdk: AsyncAnthropic, maker: str, fault: str
) -> None:
    """Half of a body is a 502 in either dialect, and never an answer."""
    with pytest.raises(openai.InternalServerError) as broken:
        await hub_sdk.chat.completions.create(model=f"{maker}/{FAULTS[fault]}", messages=ASK)
    assert broken.value.status_code == 502
    with pytest.raises(anthropic.InternalServerError) as same:
        await claude_sdk.messages.create(
            model=f"{maker}/{FAULTS[fault]}", max_tokens=MAX_TOKENS, messages=SAME
        )
    assert same.value.status_code == 502


@pytest.mark.parametrize("key", [WRONG_KEY, PROVIDER_KEY, KEY[:-1]])
async def test_a_wrong_key_is_an_authentication_error(hub: ServedProxy, key: str) -> None:
    """Keys that are nearly right, or another's, get 401 in Anthropic's shape, on every path."""
    async with AsyncAnthropic(base_url=hub.url, api_key=key, max_retries=0) as client:
        asked: list[Any] = [
            client.messages.create(model="sim-echo", max_tokens=MAX_TOKENS, messages=SAME),
            client.messages.count_tokens(model="sim-echo", messages=SAME),
            client.models.retrieve("sim-echo"),
        ]
        for asking in asked:
            with pytest.raises(anthropic.AuthenticationError) as refused:
                await asking
            body: Any = refused.value.body
            assert body["error"]["type"] == "authentication_error"
            assert refused.value.request_id
            assert key not in str(body)


async def test_an_unknown_model_is_not_found(claude_sdk: AsyncAnthropic) -> None:
    """A name that stands for nothing is 404, for answers and for counts."""
    for model in ("gpt-4o", "claude/gpt-4o", "nobody/sim-echo"):
        with pytest.raises(anthropic.NotFoundError) as refused:
            await claude_sdk.messages.create(model=model, max_tokens=MAX_TOKENS, messages=SAME)
        body: Any = refused.value.body
        assert body["error"]["type"] == "not_found_error"
        with pytest.raises(anthropic.NotFoundError):
            await claude_sdk.messages.count_tokens(model=model, messages=SAME)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": "hello"},
        {"messages": []},
        {"max_tokens": None},
        {"max_tokens": "many"},
        {"stream": "yes"},
        {"system": 7},
    ],
)
async def test_a_clients_mistake_is_a_bad_request(
    claude_sdk: AsyncAnthropic, fields: dict[str, Any]
) -> None:
    """A bad value is 400, found before any provider is asked, and the message names the field."""
    body = {"model": "claude/sim-echo", "max_tokens": 5, "messages": SAME, **fields}
    with pytest.raises(anthropic.BadRequestError) as refused:
        await claude_sdk.post("/v1/messages", body=body, cast_to=object)
    told: Any = refused.value.body
    assert told["error"]["type"] == "invalid_request_error"
    assert next(iter(fields)) in told["error"]["message"]
    assert "x-llm-proxy-provider" not in refused.value.response.headers
