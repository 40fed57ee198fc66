"""Tests of `proxy/wire/openai_message.py`: whole chat completions, as OpenAI's SDK reads them."""

from msgspec import Raw
from openai.types.chat import ChatCompletion

from proxy.domain.chat import Citation
from proxy.domain.events import (
    CallStarted,
    Cited,
    Event,
    Finished,
    LogProbs,
    Refused,
    Said,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.base import Ask
from proxy.wire.openai_message import join_log_probs, write_openai_answer
from tests.wire.answers import CALL, STARTED, TEXT, with_calls

TOKEN = '{"token":"%s","logprob":-0.5,"bytes":null,"top_logprobs":[]}'


def written(*events: Event) -> ChatCompletion:
    """An answer as the SDK's type, which is checked strictly."""
    ask = Ask("chat", "alias", {}, asked_at=5)
    return ChatCompletion.model_validate_json(write_openai_answer(ask, events))


def test_a_text_is_one_message() -> None:
    """Head, text, reason and usage are where the SDK has them."""
    answer = written(*TEXT)
    assert (answer.id, answer.model, answer.created) == ("a-1", "model-1", 1700000000)
    choice = answer.choices[0]
    assert (choice.message.content, choice.message.refusal) == ("Hi there \u2013 é", None)
    assert (choice.finish_reason, choice.logprobs, choice.message.tool_calls) == (
        "stop",
        None,
        None,
    )
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
    assert (answer.usage.total_tokens, answer.usage.prompt_tokens_details.cached_tokens) == (52, 8)


def test_what_the_provider_has_not_said_is_made_up() -> None:
    """Id, model and time are there all the same, and an empty answer has an empty text."""
    answer = written(Finished("length"))
    assert answer.id.startswith("chatcmpl-")
    assert (answer.model, answer.created, answer.usage) == ("alias", 5, None)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("", "length")


def test_calls_leave_no_text() -> None:
    """An answer that only calls has null for its text, and its calls with their arguments."""
    message = written(*with_calls()).choices[0].message
    assert message.content is None
    call = (message.tool_calls or [])[0]
    assert call.to_dict() == {
        "id": "call_a",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
    }


def test_geminis_signature_goes_with_its_call() -> None:
    """What Gemini wants back with a call stands at the call."""
    message = written(CallStarted(0, "c", "f", "sig"), Finished("tool_calls")).choices[0].message
    call = (message.tool_calls or [])[0]
    assert call.to_dict()["extra_content"] == {"google": {"thought_signature": "sig"}}


def test_thoughts_are_text_and_signed_ones_blocks() -> None:
    """All thoughts are `reasoning_content`; those that are signed or redacted are blocks, too."""
    answer = written(
        STARTED,
        Thinking("a", "anthropic"),
        ThoughtEnded("anthropic", "s"),
        ThoughtEnded("anthropic", "hidden", is_redacted=True),
        Thinking("b", "openai"),
        ThoughtEnded("openai"),
        Said("Hi"),
        Finished("stop"),
    )
    extra = answer.choices[0].message.model_extra or {}
    assert extra["reasoning_content"] == "ab"
    assert extra["thinking_blocks"] == [
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "redacted_thinking", "data": "hidden"},
    ]


def test_refusals_sources_and_log_probabilities_are_told() -> None:
    """Each stands in its own member of the choice or its message."""
    answer = written(
        Refused("No"),
        Cited(Citation(url="https://a", title="A", start=0, end=1)),
        Cited(Citation(title="no address")),
        LogProbs(Raw(b'{"content":[' + (TOKEN % "a").encode() + b"]}")),
        LogProbs(Raw(b'{"content":[' + (TOKEN % "b").encode() + b'],"refusal":[]}')),
        Finished("content_filter"),
    )
    choice = answer.choices[0]
    assert (choice.message.refusal, choice.message.content) == ("No", None)
    assert [a.url_citation.url for a in choice.message.annotations or ()] == ["https://a"]
    assert choice.logprobs is not None
    assert [token.token for token in choice.logprobs.content or ()] == ["a", "b"]
    assert (choice.logprobs.refusal, choice.finish_reason) == ([], "content_filter")


def test_choices_are_all_told() -> None:
    """Each choice has its own message and reason, by its index."""
    answer = written(Said("b", 1), Said("a", 0), Finished("stop", 0), Finished("length", 1))
    found = [(c.index, c.message.content, c.finish_reason) for c in answer.choices]
    assert found == [(0, "a", "stop"), (1, "b", "length")]


def test_no_log_probabilities_are_none() -> None:
    """Of nothing there is no object."""
    assert join_log_probs([]) is None


def test_who_offers_functions_is_called_in_their_form() -> None:
    """The deprecated form has one call, in `function_call`, and a reason of that name."""
    ask = Ask("chat", "alias", {"functions": Raw(b'[{"name":"weather"}]')}, asked_at=5)
    events = [STARTED, *CALL, CallStarted(1, "call_b", "clock"), Finished("tool_calls")]
    choice = ChatCompletion.model_validate_json(write_openai_answer(ask, events)).choices[0]
    called = choice.message.function_call
    assert called is not None
    assert (called.name, called.arguments) == ("weather", '{"city":"Oslo"}')
    assert (choice.finish_reason, choice.message.tool_calls) == ("function_call", None)
    assert (
        ChatCompletion.model_validate_json(write_openai_answer(ask, [STARTED, Finished("stop")]))
        .choices[0]
        .finish_reason
        == "stop"
    )
