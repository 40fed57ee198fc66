"""The exceptions that OpenAI's SDK makes of our errors: class, status, code, param, message."""

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.end_to_end.asking import ASK, knobs
from tests.end_to_end.served import (
    KEY,
    MAX_BODY_BYTES,
    PROMPT,
    PROVIDER_KEY,
    WRONG_KEY,
    ServedProxy,
    ServedSimulator,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

PROVIDER_ERRORS = [
    ("u27-context-length", openai.BadRequestError, 400, "context_length_exceeded"),
    ("u27-content-filter", openai.BadRequestError, 400, "content_policy_violation"),
    ("u27-bad-param", openai.BadRequestError, 400, "unsupported_parameter"),
    ("u21-429-seconds", openai.RateLimitError, 429, "rate_limit_exceeded"),
    ("u22-quota", openai.RateLimitError, 429, "insufficient_quota"),
    ("u24-500", openai.InternalServerError, 502, "upstream_server_error"),
    ("u24-502", openai.InternalServerError, 502, "upstream_server_error"),
    ("u23-503", openai.InternalServerError, 503, "upstream_overloaded"),
    ("u23-529", openai.InternalServerError, 503, "upstream_overloaded"),
    ("u25-401", openai.InternalServerError, 502, "upstream_auth"),
    ("u26-404", openai.InternalServerError, 502, "upstream_model_not_found"),
    ("u30-307", openai.InternalServerError, 502, "upstream_redirect"),
    ("u3-reset-before-headers", openai.InternalServerError, 502, "upstream_disconnected"),
    ("u18-html", openai.InternalServerError, 502, "upstream_protocol_error"),
    ("u19-error-in-200", openai.InternalServerError, 503, "upstream_overloaded"),
]
CLIENT_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"messages": "hello"}, "messages"),
    ({"messages": []}, "messages"),
    ({"temperature": 2.5}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"stream": "yes"}, "stream"),
    ({"model": 7}, "model"),
    ({"model": ""}, "model"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("fault", "kind", "status", "code"), PROVIDER_ERRORS)
async def test_a_providers_error_has_its_class(
    sdk: AsyncOpenAI,
    served: ServedProxy,
    place: str,
    fault: str,
    kind: type[openai.APIStatusError],
    status: int,
    code: str,
    stream: bool,
) -> None:
    """A failure before content is a status, also where a stream was asked for, and is logged."""
    with pytest.raises(openai.APIStatusError) as refused:
        await sdk.chat.completions.create(
            model=f"{place}/sim-echo", messages=ASK, stream=stream, extra_body=knobs(fault=fault)
        )
    error = refused.value
    assert (type(error), error.status_code, error.code) == (kind, status, code)
    assert error.message
    assert error.request_id == error.response.headers["x-request-id"]
    line = served.wait_for_request(request_id=error.request_id)
    assert (line["outcome"], line["status_code"], line["provider"]) == ("failed", status, place)
    assert line["level"] == ("WARNING" if status < 500 else "ERROR")


@pytest.mark.parametrize(("fields", "param"), CLIENT_ERRORS)
async def test_a_clients_mistake_names_its_field(
    sdk: AsyncOpenAI, fields: dict[str, Any], param: str
) -> None:
    """A bad value is 400, found before any provider is asked, and the error names the field."""
    body: dict[str, Any] = {"model": "sim-echo", "messages": ASK, **fields}
    with pytest.raises(openai.BadRequestError) as refused:
        await sdk.post("/chat/completions", body=body, cast_to=object)
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"
    assert "x-llm-proxy-provider" not in refused.value.response.headers


async def test_a_providers_verdict_on_a_field_reaches_the_client(
    sdk: AsyncOpenAI, place: str
) -> None:
    """What the provider says about the request (message, param, code) is the client's to read."""
    with pytest.raises(openai.BadRequestError) as refused:
        await sdk.chat.completions.create(
            model=f"{place}/sim-echo", messages=ASK, extra_body=knobs(fault="u27-bad-param")
        )
    assert refused.value.param == "temperature"
    assert "Unsupported parameter: 'temperature'." in refused.value.message


@pytest.mark.parametrize("key", [WRONG_KEY, PROVIDER_KEY, KEY + "x", KEY[:-1]])
def test_a_wrong_key_is_an_authentication_error(served: ServedProxy, key: str) -> None:
    """Keys that are nearly right, or another's, get 401; no path tells whether a model exists."""
    with OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0) as client:
        asked: list[Any] = [
            lambda: client.chat.completions.create(model="sim-echo", messages=ASK),
            lambda: client.chat.completions.create(model="unknown", messages=ASK),
            lambda: client.embeddings.create(model="sim-embed", input="x"),
            client.models.list,
            lambda: client.models.retrieve("unknown"),
        ]
        for ask in asked:
            with pytest.raises(openai.AuthenticationError) as refused:
                ask()
            assert refused.value.code == "invalid_api_key"
            assert refused.value.request_id
            assert key not in refused.value.message


@pytest.mark.parametrize("model", ["gpt-4o", "simulator/gpt-4o", "nobody/sim-echo", "local/"])
async def test_an_unknown_model_is_not_found(sdk: AsyncOpenAI, model: str) -> None:
    """A name that stands for nothing is 404 with the model's name, for every kind of request."""
    with pytest.raises(openai.NotFoundError) as refused:
        await sdk.chat.completions.create(model=model, messages=ASK)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert f"'{model}'" in refused.value.message
    with pytest.raises(openai.NotFoundError):
        await sdk.embeddings.create(model=model, input="x")
    with pytest.raises(openai.NotFoundError):
        await sdk.models.retrieve(model)


async def test_the_simulator_answers_for_no_other_model(sdk: AsyncOpenAI) -> None:
    """A name that only looks like a simulated one is not found either."""
    with pytest.raises(openai.NotFoundError):
        await sdk.chat.completions.create(model="sim-nothing", messages=ASK)


async def test_too_large_a_body_is_refused(sdk: AsyncOpenAI) -> None:
    """A body over `max_body_bytes` is 413, and the error says the limit."""
    with pytest.raises(openai.APIStatusError) as refused:
        await sdk.chat.completions.create(
            model="sim-echo", messages=[{"role": "user", "content": "x" * MAX_BODY_BYTES}]
        )
    assert (refused.value.status_code, refused.value.code) == (413, "request_too_large")
    assert str(MAX_BODY_BYTES) in refused.value.message


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_silent_provider_is_a_timeout(sdk: AsyncOpenAI, stream: bool) -> None:
    """A provider that never answers costs the client its clock and a 504."""
    with pytest.raises(openai.InternalServerError) as late:
        await sdk.chat.completions.create(
            model="hasty/sim-echo",
            messages=ASK,
            stream=stream,
            extra_body=knobs(fault="u4-black-hole"),
        )
    assert (late.value.status_code, late.value.type) == (504, "timeout_error")


async def test_a_provider_that_thinks_too_long_is_a_timeout(sdk: AsyncOpenAI) -> None:
    """The first token has its own clock."""
    with pytest.raises(openai.InternalServerError) as late:
        await sdk.chat.completions.create(
            model="hasty/sim-echo",
            messages=ASK,
            stream=True,
            extra_body=knobs(fault="u6-headers-then-silence"),
        )
    assert (late.value.status_code, late.value.code) == (504, "upstream_first_token_timeout")


async def test_our_own_bad_key_is_not_the_clients_401(
    sdk: AsyncOpenAI, served: ServedProxy
) -> None:
    """A provider that refuses this proxy's key is a 502, and neither key is in the message."""
    with pytest.raises(openai.InternalServerError) as refused:
        await sdk.chat.completions.create(model="locked/sim-echo", messages=ASK)
    assert (refused.value.status_code, refused.value.code) == (502, "upstream_auth")
    assert WRONG_KEY not in str(refused.value.body)


async def test_how_long_to_wait_is_passed_on(sdk: AsyncOpenAI, place: str) -> None:
    """The provider's Retry-After reaches the client."""
    with pytest.raises(openai.RateLimitError) as limited:
        await sdk.chat.completions.create(
            model=f"{place}/sim-echo", messages=ASK, extra_body=knobs(fault="u21-429-seconds")
        )
    assert limited.value.response.headers["retry-after"] == "2"


def test_the_clients_own_timeout(sync_sdk: OpenAI, served: ServedProxy) -> None:
    """A client that gives up raises APITimeoutError, and its request is logged as left."""
    mark = served.mark
    with pytest.raises(openai.APITimeoutError):
        sync_sdk.with_options(timeout=1.0).chat.completions.create(
            model="local/sim-echo", messages=ASK, extra_body=knobs(fault="u4-black-hole")
        )
    line = served.wait_for_request(mark, outcome="client_closed")
    assert line["provider"] == "local"


async def test_the_providers_key_never_comes_from_the_client(
    sdk: AsyncOpenAI, simulator: ServedSimulator
) -> None:
    """The provider sees its own key alone: no client's key, cookie or SDK header goes up."""
    await simulator.clear_ledger()
    await sdk.chat.completions.create(
        model="local/sim-echo",
        messages=[{"role": "user", "content": PROMPT}],
        extra_headers={"Cookie": "session=1", "X-API-Key": KEY, "api-key": KEY},
    )
    [entry] = await simulator.read_ledger(ended=1)
    names = [name.lower() for name, _ in entry["headers"]]
    assert names.count("authorization") == 1
    assert {"cookie", "x-api-key", "api-key"} & set(names) == set()
    assert [name for name in names if name.startswith("x-stainless")] == []
    assert entry["status"] == 200


async def test_an_error_costs_the_others_nothing(sdk: AsyncOpenAI, place: str) -> None:
    """Among forty requests of which every fourth fails, the others are answered."""

    async def ask(number: int) -> str | None:
        fault = {} if number % 4 else {"fault": "u24-500"}
        answer = await sdk.chat.completions.create(
            model=f"{place}/sim-echo",
            messages=[{"role": "user", "content": f"number {number}"}],
            extra_body=knobs(**fault),
        )
        return answer.choices[0].message.content

    answers: list[str | BaseException | None] = []
    # Eight at once, two of which fail: in whatever order they end, no breaker has enough of it.
    for first in range(0, 40, 8):
        asked = [ask(number) for number in range(first, first + 8)]
        answers += await asyncio.gather(*asked, return_exceptions=True)
    good = [answer for number, answer in enumerate(answers) if number % 4]
    assert good == [f"number {number}" for number in range(40) if number % 4]
    assert {type(error) for error in answers[::4]} == {openai.InternalServerError}
