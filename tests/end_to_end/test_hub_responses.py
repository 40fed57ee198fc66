"""OpenAI's SDK asking providers of every type for responses: each kind of request, both ways."""

import json
from typing import Any

import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI

from tests.end_to_end.hub import (
    CACHER,
    FAULTS,
    NOTHING,
    PIXEL,
    PIXEL_SEEN,
    PLACES,
    STORY,
    THINKER,
    THINKING_CALLER,
    THOUGHT,
    TWICE,
    WEATHER,
    Book,
)
from tests.end_to_end.served import KEY, PROMPT, ServedProxy

pytestmark = pytest.mark.usefixtures("no_leaks")

TOOLS: Any = [
    {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": None},
    {"type": "function", "name": "get_time", "parameters": NOTHING, "strict": None},
]
THINKING: Any = {"effort": "high", "summary": "auto"}
ASKED: Any = {"role": "user", "content": PROMPT}


EVERYWHERE = [*PLACES, "ollama"]


@pytest.fixture(params=EVERYWHERE)
def maker(request: pytest.FixtureRequest) -> str:
    """Which provider is asked, by its name: one of each type, and Ollama."""
    name: str = request.param
    return name


def answer_calls(output: Any, *results: str) -> Any:
    """Return the input after a turn with calls: the turn as it came, and their results."""
    ids = [item.call_id for item in output if item.type == "function_call"]
    answers = [
        {"type": "function_call_output", "call_id": call_id, "output": result}
        for call_id, result in zip(ids, results, strict=True)
    ]
    return [ASKED, *[item.to_dict() for item in output], *answers]


def calls_of(response: Any) -> list[Any]:
    """Return the calls of a response."""
    return [item for item in response.output if item.type == "function_call"]


async def test_text(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """A whole answer has the text, its end, and the tokens that the provider has counted."""
    response = await hub_sdk.responses.create(
        model=f"{maker}/{CACHER}", input=PROMPT, metadata={"a": "b"}
    )
    assert response.output_text == PROMPT
    assert (response.object, response.status, response.error) == ("response", "completed", None)
    assert response.id.startswith("resp_")
    assert response.metadata == {"a": "b"}
    usage = response.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (9, 9, 18)
    # Ollama does not say what it had in its cache.
    assert usage.input_tokens_details.cached_tokens == (0 if maker == "ollama" else 4)


async def test_the_stream_helper(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """What the SDK puts together of the events is the whole answer."""
    async with hub_sdk.responses.stream(model=f"{maker}/{STORY}", input=PROMPT) as stream:
        texts = [
            event.delta async for event in stream if event.type == "response.output_text.delta"
        ]
        response = await stream.get_final_response()
    assert "".join(texts) == response.output_text
    assert len(texts) > 100
    assert response.status == "completed"


async def test_events_come_in_their_order(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """One response, numbered from 0, and each thing that begins in it ends."""
    stream = await hub_sdk.responses.create(model=f"{maker}/sim-echo", input=PROMPT, stream=True)
    events: list[Any] = [event async for event in stream]
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    ends = ["output_text.done", "content_part.done", "output_item.done", "completed"]
    assert kinds[-4:] == ends
    assert set(kinds[4:-4]) == {"output_text.delta"}
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert len({event.response.id for event in events if hasattr(event, "response")}) == 1
    assert events[-1].response.usage.output_tokens == 9


async def test_a_conversation(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """Instructions and earlier turns count as prompt, and the last turn is what is answered."""
    response = await hub_sdk.responses.create(
        model=f"{maker}/sim-echo",
        instructions="Be brief.",
        input=[
            {"role": "user", "content": "First."},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "content": [{"type": "input_text", "text": "Second."}]},
        ],
    )
    assert response.output_text == "Second."
    assert response.instructions == "Be brief."
    assert response.usage is not None
    assert response.usage.input_tokens == 9


async def test_a_limit_ends_an_answer(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """It is incomplete, and says why, whole and streamed."""
    asked: Any = {"model": f"{maker}/sim-echo", "input": PROMPT, "max_output_tokens": 3}
    whole = await hub_sdk.responses.create(**asked)
    last = [event async for event in await hub_sdk.responses.create(**asked, stream=True)][-1]
    assert last.type == "response.incomplete"
    for response in (whole, last.response):
        assert response.status == "incomplete"
        assert response.incomplete_details.reason == "max_output_tokens"
        assert response.usage.output_tokens == 3


async def test_a_whole_loop_of_tools(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """Two calls at once, one of them without arguments; their results lead to the last answer."""
    model = f"{maker}/{TWICE}"
    first = await hub_sdk.responses.create(model=model, input=[ASKED], tools=TOOLS)
    calls = calls_of(first)
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    assert set(json.loads(calls[0].arguments)) == {"city", "unit"}
    assert json.loads(calls[1].arguments) == {}
    assert len({call.call_id for call in calls}) == 2
    after = answer_calls(first.output, "23 degrees", "noon")
    second = await hub_sdk.responses.create(model=model, input=after, tools=TOOLS)
    assert second.output_text == "The tool answered: noon"
    assert second.status == "completed"


async def test_streamed_tools(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """The SDK's accumulator makes whole calls of the pieces."""
    async with hub_sdk.responses.stream(
        model=f"{maker}/{TWICE}", input=[ASKED], tools=TOOLS
    ) as stream:
        events = [event async for event in stream]
        response = await stream.get_final_response()
    calls = calls_of(response)
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    assert [json.loads(call.arguments).keys() for call in calls] == [{"city", "unit"}, set()]
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [event.arguments for event in done] == [call.arguments for call in calls]


async def test_which_tool_is_called_is_the_clients_choice(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """A named tool is called, one of those that are allowed, and none where none may be."""
    model = f"{maker}/{TWICE}"

    async def ask(choice: Any) -> set[str]:
        response = await hub_sdk.responses.create(
            model=model, input=[ASKED], tools=TOOLS, tool_choice=choice
        )
        return {call.name for call in calls_of(response)}

    one = {"type": "function", "name": "get_time"}
    assert await ask(one) == {"get_time"}
    assert await ask({"type": "allowed_tools", "mode": "required", "tools": [one]}) == {"get_time"}
    assert await ask("none") == set()
    if maker != "ollama":
        # It cannot be told that one of several must be called.
        assert await ask("required") == {"get_weather", "get_time"}


async def test_a_schema_is_kept_to(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """`parse` with a pydantic model gets an instance of it, whole and streamed."""
    model = f"{maker}/sim-echo"
    whole = await hub_sdk.responses.parse(model=model, input=PROMPT, text_format=Book)
    assert isinstance(whole.output_parsed, Book)
    async with hub_sdk.responses.stream(model=model, input=PROMPT, text_format=Book) as stream:
        streamed = await stream.get_final_response()
    assert isinstance(streamed.output_parsed, Book)


async def test_a_picture_is_seen(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """A picture within the request reaches the model with its kind and every byte."""
    picture: Any = {
        "type": "input_image",
        "image_url": f"data:image/png;base64,{PIXEL}",
        "detail": "auto",
    }
    text: Any = {"type": "input_text", "text": "What is it?"}
    response = await hub_sdk.responses.create(
        model=f"{maker}/sim-look", input=[{"role": "user", "content": [text, picture]}]
    )
    assert response.output_text == PIXEL_SEEN


async def test_thoughts_are_shown_to_who_asks_for_them(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """With a summary asked for the thought is an item before the text, whole and streamed."""
    asked: Any = {"model": f"{maker}/{THINKER}", "input": PROMPT}
    whole = await hub_sdk.responses.create(**asked, reasoning=THINKING)
    async with hub_sdk.responses.stream(**asked, reasoning=THINKING) as stream:
        streamed = await stream.get_final_response()
    for response in (whole, streamed):
        items: Any = response.output
        assert [item.type for item in items] == ["reasoning", "message"]
        assert "".join([part.text for part in items[0].summary]) == THOUGHT
        assert response.output_text == PROMPT
    unasked = await hub_sdk.responses.create(**asked, reasoning={"effort": "high"})
    assert [part for item in unasked.output for part in getattr(item, "summary", ())] == []


@pytest.mark.parametrize("step", [0, 1])
async def test_a_loop_of_tools_goes_on_anywhere(
    hub_sdk: AsyncOpenAI, maker: str, step: int
) -> None:
    """The turn with its thoughts is sent back as it came, to the same provider or another."""
    other = EVERYWHERE[(EVERYWHERE.index(maker) + step) % len(EVERYWHERE)]
    first = await hub_sdk.responses.create(
        model=f"{maker}/{THINKING_CALLER}",
        input=[ASKED],
        tools=TOOLS,
        reasoning=THINKING,
        store=False,
        include=["reasoning.encrypted_content"],
    )
    thought: Any = first.output[0]
    assert (thought.type, bool(thought.encrypted_content)) == ("reasoning", True)
    assert len(calls_of(first)) == 1
    second = await hub_sdk.responses.create(
        model=f"{other}/{THINKING_CALLER}",
        input=answer_calls(first.output, "23 degrees"),
        tools=TOOLS,
        reasoning=THINKING,
        store=False,
    )
    assert second.output_text == "The tool answered: 23 degrees"


async def test_the_tokens_of_an_input_are_counted(hub_sdk: AsyncOpenAI, maker: str) -> None:
    """By the provider, or as an estimate."""
    counted = await hub_sdk.responses.input_tokens.count(model=f"{maker}/sim-echo", input=PROMPT)
    assert counted.object == "response.input_tokens"
    assert counted.input_tokens > 0


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ],
    ids=["background", "conversation", "tool", "prompt"],
)
async def test_what_cannot_be_done_is_refused_by_name(
    hub_sdk: AsyncOpenAI, fields: Any, param: str
) -> None:
    """The error says which field it is, before anybody is asked."""
    with pytest.raises(openai.BadRequestError) as refused:
        await hub_sdk.responses.create(model="claude/sim-echo", **({"input": PROMPT} | fields))
    assert refused.value.param == param


async def test_a_tool_that_another_has_is_asked_of_that_one(hub_sdk: AsyncOpenAI) -> None:
    """What only OpenAI's API has goes to who speaks it, where the request names one."""
    raw = await hub_sdk.responses.with_raw_response.create(
        model="claude/sim-echo",
        input=PROMPT,
        tools=[{"type": "web_search"}],
        extra_body={"fallbacks": ["azure/sim-echo"]},
    )
    assert raw.headers["x-llm-proxy-provider"] == "azure"
    assert raw.parse().output_text == PROMPT


async def test_what_is_left_out_is_named(hub_sdk: AsyncOpenAI) -> None:
    """A provider that cannot leave out the beginning of what is too long is asked all the same."""
    raw = await hub_sdk.responses.with_raw_response.create(
        model="claude/sim-echo", input=PROMPT, truncation="auto"
    )
    assert raw.headers["x-llm-proxy-dropped-params"] == "truncation"
    assert raw.parse().output_text == PROMPT


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("context", openai.BadRequestError, "context_length_exceeded"),
        ("limited", openai.RateLimitError, "rate_limit_exceeded"),
        ("busy", openai.InternalServerError, "upstream_overloaded"),
    ],
)
async def test_a_failure_before_content_is_a_status(
    hub_sdk: AsyncOpenAI,
    maker: str,
    fault: str,
    kind: type[openai.APIStatusError],
    code: str,
    stream: bool,
) -> None:
    """The SDK raises the class of the status, whatever format the failure came in."""
    with pytest.raises(kind) as refused:
        await hub_sdk.responses.create(
            model=f"{maker}/{FAULTS[fault]}", input=PROMPT, stream=stream
        )
    assert refused.value.code == code
    assert refused.value.request_id


@pytest.mark.parametrize("fault", ["error-later", "eof", "bad-json"])
async def test_a_failure_within_a_stream_is_raised(
    hub_sdk: AsyncOpenAI, maker: str, fault: str
) -> None:
    """What was good has come by then, and no response is taken for complete."""
    kinds = []
    with pytest.raises(openai.APIError) as refused:
        async with hub_sdk.responses.stream(
            model=f"{maker}/{FAULTS[fault]}", input=PROMPT
        ) as stream:
            async for event in stream:
                kinds.append(event.type)
    assert not isinstance(refused.value, openai.APIStatusError)
    assert refused.value.code
    assert "response.output_text.delta" in kinds
    assert "response.completed" not in kinds


async def test_azures_client_asks_for_responses(hub: ServedProxy) -> None:
    """With a version in the address, and the model in the body."""
    async with AsyncAzureOpenAI(
        azure_endpoint=hub.url, api_key=KEY, api_version="2025-04-01-preview", max_retries=0
    ) as client:
        response = await client.responses.create(model="gemini/sim-echo", input=PROMPT)
        assert response.output_text == PROMPT
        async with client.responses.stream(model="gemini/sim-echo", input=PROMPT) as stream:
            assert (await stream.get_final_response()).output_text == PROMPT
