"""Anthropic's SDK in front of providers of every type: each kind of request, whole and streamed."""

from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from tests.end_to_end.hub import (
    CACHER,
    MODELS,
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

ASK: Any = [{"role": "user", "content": PROMPT}]
TOOLS: Any = [
    {"name": "get_weather", "input_schema": WEATHER},
    {"name": "get_time", "input_schema": NOTHING},
]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
MAX_TOKENS = 2000


def look_at(source: dict[str, str]) -> Any:
    """Return the messages of a question about a picture."""
    picture = {"type": "image", "source": source}
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]


def write_results(content: Any, *results: str) -> Any:
    """Return the conversation after a turn with calls: the turn as it came, and their results."""
    ids = [block.id for block in content if block.type == "tool_use"]
    answers = [
        {"type": "tool_result", "tool_use_id": call_id, "content": result}
        for call_id, result in zip(ids, results, strict=True)
    ]
    return [*ASK, {"role": "assistant", "content": content}, {"role": "user", "content": answers}]


async def test_text(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """A whole answer has the text, its end, and the tokens that the provider has counted."""
    answer = await claude_sdk.messages.create(
        model=f"{maker}/sim-echo", max_tokens=MAX_TOKENS, messages=ASK
    )
    [block] = answer.content
    assert (block.type, block.type == "text" and block.text) == ("text", PROMPT)
    assert (answer.type, answer.role) == ("message", "assistant")
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (9, 9)
    assert answer.id
    assert answer._request_id


def test_text_sync(sync_claude_sdk: Anthropic, maker: str) -> None:
    """The synchronous client gets the same text, whole and streamed."""
    model = f"{maker}/sim-echo"
    answer = sync_claude_sdk.messages.create(model=model, max_tokens=MAX_TOKENS, messages=ASK)
    with sync_claude_sdk.messages.stream(
        model=model, max_tokens=MAX_TOKENS, messages=ASK
    ) as stream:
        texts = list(stream.text_stream)
        streamed = stream.get_final_message()
    assert answer.content[0].type == "text"
    assert "".join(texts) == stream.get_final_text() == answer.content[0].text == PROMPT
    assert (streamed.stop_reason, streamed.usage.output_tokens) == ("end_turn", 9)
    assert len(texts) > 5


async def test_events_come_in_their_order(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """One message begins, its one block opens, grows and closes, and the message ends."""
    stream = await claude_sdk.messages.create(
        model=f"{maker}/sim-echo", max_tokens=MAX_TOKENS, messages=ASK, stream=True
    )
    kinds = [event.type async for event in stream]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}


async def test_usage_of_a_stream_is_that_of_the_whole(
    claude_sdk: AsyncAnthropic, maker: str
) -> None:
    """What came from a cache is no input token here, and is told beside them."""
    model = f"{maker}/{CACHER}"
    whole = await claude_sdk.messages.create(model=model, max_tokens=MAX_TOKENS, messages=ASK)
    async with claude_sdk.messages.stream(
        model=model, max_tokens=MAX_TOKENS, messages=ASK
    ) as stream:
        streamed = await stream.get_final_message()
    for usage in (whole.usage, streamed.usage):
        assert (usage.input_tokens, usage.cache_read_input_tokens) == (5, 4)
        assert usage.output_tokens == 9


async def test_a_limit_and_a_stop(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """`max_tokens` ends an answer with its reason, a stop sequence with an end."""
    cut = await claude_sdk.messages.create(model=f"{maker}/sim-echo", max_tokens=3, messages=ASK)
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 3)
    stopped = await claude_sdk.messages.create(
        model=f"{maker}/sim-echo", max_tokens=MAX_TOKENS, messages=ASK, stop_sequences=[" marm"]
    )
    assert stopped.stop_reason in {"end_turn", "stop_sequence"}
    assert stopped.content[0].type == "text"
    assert stopped.content[0].text == PROMPT.partition(" marm")[0]


async def test_a_conversation(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """Instructions and earlier turns count as prompt, and the last turn is what is answered."""
    answer = await claude_sdk.messages.create(
        model=f"{maker}/sim-echo",
        max_tokens=MAX_TOKENS,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {"role": "user", "content": "First."},
            {"role": "assistant", "content": "Noted."},
            {"role": "user", "content": [{"type": "text", "text": "Second."}]},
        ],
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Second."
    assert answer.usage.input_tokens == 9


async def test_a_whole_loop_of_tools(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """Two calls at once, one of them without arguments; their results lead to the last answer."""
    model = f"{maker}/{TWICE}"
    first = await claude_sdk.messages.create(
        model=model, max_tokens=MAX_TOKENS, messages=ASK, tools=TOOLS
    )
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    assert set(calls[0].input) == {"city", "unit"}
    assert calls[1].input == {}
    assert len({call.id for call in calls}) == 2
    second = await claude_sdk.messages.create(
        model=model,
        max_tokens=MAX_TOKENS,
        messages=write_results(first.content, "23 degrees", "noon"),
        tools=TOOLS,
    )
    assert second.content[0].type == "text"
    assert second.content[0].text == "The tool answered: noon"
    assert second.stop_reason == "end_turn"


async def test_streamed_tools(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """The SDK's accumulator makes whole calls of the pieces, one block after the other."""
    async with claude_sdk.messages.stream(
        model=f"{maker}/{TWICE}", max_tokens=MAX_TOKENS, messages=ASK, tools=TOOLS
    ) as stream:
        events = [event async for event in stream]
        answer = await stream.get_final_message()
    started = [event.index for event in events if event.type == "content_block_start"]
    assert started == list(range(len(started)))
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    assert set(calls[0].input) == {"city", "unit"}
    assert calls[1].input == {}
    assert answer.stop_reason == "tool_use"


async def test_which_tool_is_called_is_the_clients_choice(
    claude_sdk: AsyncAnthropic, maker: str
) -> None:
    """A named tool is called, none is where none may be, and one alone where not several may."""
    model = f"{maker}/{TWICE}"

    async def ask(choice: Any) -> list[str]:
        answer = await claude_sdk.messages.create(
            model=model, max_tokens=MAX_TOKENS, messages=ASK, tools=TOOLS, tool_choice=choice
        )
        return [block.name for block in answer.content if block.type == "tool_use"]

    assert set(await ask({"type": "tool", "name": "get_time"})) == {"get_time"}
    assert await ask({"type": "none"}) == []
    assert await ask({"type": "any"}) == ["get_weather", "get_time"]
    if maker not in ("gemini", "cohere"):
        # They have no switch for this.
        one = await ask({"type": "auto", "disable_parallel_tool_use": True})
        assert one == ["get_weather"]


async def test_a_schema_is_kept_to(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """`parse` with a pydantic model gets an instance of it, whole and streamed."""
    model = f"{maker}/sim-echo"
    whole = await claude_sdk.messages.parse(
        model=model, max_tokens=MAX_TOKENS, messages=ASK, output_format=Book
    )
    assert isinstance(whole.parsed_output, Book)
    assert whole.stop_reason == "end_turn"
    async with claude_sdk.messages.stream(
        model=model, max_tokens=MAX_TOKENS, messages=ASK, output_format=Book
    ) as stream:
        streamed = await stream.get_final_message()
    assert isinstance(streamed.parsed_output, Book)


async def test_a_picture_is_seen(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """A picture within the request reaches the model with its kind and every byte."""
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    answer = await claude_sdk.messages.create(
        model=f"{maker}/sim-look", max_tokens=MAX_TOKENS, messages=look_at(source)
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text == PIXEL_SEEN


async def test_a_picture_elsewhere_is_seen_or_refused(
    claude_sdk: AsyncAnthropic, maker: str
) -> None:
    """The provider gets the address; of one that fetches none the client is told so."""
    url = "https://pictures.example/cat.png"
    asking = claude_sdk.messages.create(
        model=f"{maker}/sim-look",
        max_tokens=MAX_TOKENS,
        messages=look_at({"type": "url", "url": url}),
    )
    if maker == "gemini":
        with pytest.raises(anthropic.BadRequestError):
            await asking
        return
    answer = await asking
    assert answer.content[0].type == "text"
    assert answer.content[0].text == f"I see: {url}."


async def test_thoughts_are_shown_to_who_asks_for_them(
    claude_sdk: AsyncAnthropic, maker: str
) -> None:
    """With `thinking` the thought is a block before the text, whole and streamed."""
    model = f"{maker}/{THINKER}"
    whole = await claude_sdk.messages.create(
        model=model, max_tokens=MAX_TOKENS, messages=ASK, thinking=THINKING
    )
    async with claude_sdk.messages.stream(
        model=model, max_tokens=MAX_TOKENS, messages=ASK, thinking=THINKING
    ) as stream:
        streamed = await stream.get_final_message()
    for answer in (whole, streamed):
        thought, said = answer.content
        assert thought.type == "thinking"
        assert thought.thinking == THOUGHT
        assert thought.signature
        assert said.type == "text"
        assert said.text == PROMPT
        assert answer.usage.output_tokens == 14


async def test_thoughts_are_not_shown_unasked(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """Without `thinking` an answer that had to be translated holds the text alone."""
    answer = await claude_sdk.messages.create(
        model=f"{maker}/{THINKER}", max_tokens=MAX_TOKENS, messages=ASK
    )
    kinds = [block.type for block in answer.content]
    # What Anthropic itself sends is passed on as it is.
    assert kinds == (["thinking", "text"] if maker == "claude" else ["text"])


@pytest.mark.parametrize("other", PLACES)
async def test_a_loop_of_tools_goes_on_anywhere(
    claude_sdk: AsyncAnthropic, maker: str, other: str
) -> None:
    """The turn with its thoughts is sent back as it came, to the same provider or another."""
    first = await claude_sdk.messages.create(
        model=f"{maker}/{THINKING_CALLER}",
        max_tokens=MAX_TOKENS,
        messages=ASK,
        tools=TOOLS,
        thinking=THINKING,
    )
    # What Gemini wants back with a call has a block of its own here, which only it can read.
    kinds = [block.type for block in first.content if block.type != "redacted_thinking"]
    assert kinds == ["thinking", "tool_use"]
    second = await claude_sdk.messages.create(
        model=f"{other}/{THINKING_CALLER}",
        max_tokens=MAX_TOKENS,
        messages=write_results(first.content, "23 degrees"),
        tools=TOOLS,
        thinking=THINKING,
    )
    texts = [block.text for block in second.content if block.type == "text"]
    assert texts == ["The tool answered: 23 degrees"]


async def test_a_refusal(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """A model that declines is no error, and the reason says so."""
    answer = await claude_sdk.messages.create(
        model=f"{maker}/sim-refuse", max_tokens=MAX_TOKENS, messages=ASK
    )
    # Cohere has no other words for it than an answer's.
    assert answer.stop_reason == ("end_turn" if maker == "cohere" else "refusal")


async def test_tokens_are_counted(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """`count_tokens` gives a number for any provider: what it counts, or an estimate."""
    count = await claude_sdk.messages.count_tokens(
        model=f"{maker}/sim-echo", messages=ASK, system="Be brief.", tools=TOOLS
    )
    few = await claude_sdk.messages.count_tokens(model=f"{maker}/sim-echo", messages=ASK)
    assert count.input_tokens >= few.input_tokens >= 9


async def test_models(claude_sdk: AsyncAnthropic) -> None:
    """Models are listed page by page in Anthropic's shape, and found by name."""
    found = [model async for model in claude_sdk.models.list(limit=5)]
    names = [model.id for model in found]
    assert set(MODELS) <= set(names)
    assert len(set(names)) == len(names)
    one = await claude_sdk.models.retrieve("sim-echo")
    assert (one.id, one.type) == ("sim-echo", "model")
    assert one.display_name
    assert one.created_at.tzinfo is not None
    with pytest.raises(anthropic.NotFoundError):
        await claude_sdk.models.retrieve("sim-nothing")


async def test_the_older_key_header_is_as_good(hub: ServedProxy, maker: str) -> None:
    """A client that sends `x-api-key` and the older version is answered too."""
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    async with AsyncAnthropic(
        base_url=hub.url, auth_token="ignored", default_headers=headers, max_retries=0
    ) as client:
        client.auth_token = None
        answer = await client.messages.create(
            model=f"{maker}/sim-echo",
            max_tokens=MAX_TOKENS,
            messages=ASK,
            extra_headers={"Authorization": anthropic.Omit()},
        )
    assert answer.content[0].type == "text"


async def test_a_story_is_streamed_in_many_pieces(claude_sdk: AsyncAnthropic, maker: str) -> None:
    """What the model says piece by piece comes piece by piece, and nothing is lost."""
    async with claude_sdk.messages.stream(
        model=f"{maker}/{STORY}", max_tokens=MAX_TOKENS, messages=ASK
    ) as stream:
        texts = [text async for text in stream.text_stream]
        answer = await stream.get_final_message()
    assert len(texts) > 100
    assert answer.content[0].type == "text"
    assert "".join(texts) == answer.content[0].text
