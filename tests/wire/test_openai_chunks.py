"""Tests of `proxy/wire/openai_chunks.py`: what clients of chat completions are streamed."""

from typing import Any

from msgspec import Raw

from proxy.domain.chat import Citation
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Cited,
    Event,
    Finished,
    LogProbs,
    Refused,
    Said,
    Started,
    Thinking,
    ThoughtEnded,
)
from proxy.wire.base import Ask
from proxy.wire.openai_chunks import OpenAIChunks
from tests.wire.answers import CALL, COUNTED, STARTED, TEXT, accumulate, values, with_calls


def streamed(*events: Event, **asked: Any) -> bytes:
    """The whole stream of an answer."""
    writer = OpenAIChunks(Ask("chat", "alias", {}, streams=True, asked_at=5, **asked))
    return writer.write(events) + writer.finish()


def deltas(stream: bytes) -> list[Any]:
    """The deltas of all choices, in order."""
    return [choice["delta"] for value in values(stream) for choice in value["choices"]]


def test_a_text_is_role_pieces_and_end() -> None:
    """The role comes once and first, then the pieces, then a choice with nothing but its reason."""
    stream = streamed(*TEXT)
    assert deltas(stream) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hi "},
        {"content": "there \u2013 é"},
        {},
    ]
    reasons = [value["choices"][0]["finish_reason"] for value in values(stream)]
    assert reasons == [None, None, None, "stop"]
    message = accumulate(stream).choices[0].message
    assert (message.role, message.content) == ("assistant", "Hi there \u2013 é")


def test_all_chunks_have_one_head() -> None:
    """Id, model and time are the provider's, and the same in each chunk."""
    heads = {
        (value["id"], value["object"], value["created"], value["model"])
        for value in values(streamed(*TEXT, wants_usage=True))
    }
    assert heads == {("a-1", "chat.completion.chunk", 1700000000, "model-1")}


def test_what_the_provider_has_not_said_is_made_up_once() -> None:
    """Without a start of the provider's the id is ours, the model the client's, the time ours."""
    found = values(streamed(Said("a"), Said("b"), Finished("stop")))
    assert len({value["id"] for value in found}) == 1
    assert found[0]["id"].startswith("chatcmpl-")
    assert {(value["model"], value["created"]) for value in found} == {("alias", 5)}
    assert values(streamed(Started(), Finished("stop")))[0]["model"] == "alias"


def test_usage_comes_last_and_only_if_asked() -> None:
    """A chunk without choices has the counts; a client that did not ask has no `usage` at all."""
    *others, last = values(streamed(*TEXT, wants_usage=True))
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 40,
        "completion_tokens": 12,
        "total_tokens": 52,
        "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert not any("usage" in value for value in others)
    assert values(streamed(*TEXT)) == others
    accumulated = accumulate(streamed(*TEXT, wants_usage=True)).usage
    assert accumulated is not None and accumulated.total_tokens == 52


def test_usage_without_anything_else_has_a_head_too() -> None:
    """Counts alone are still a chunk of one answer."""
    (only,) = values(streamed(COUNTED, wants_usage=True))
    assert (only["model"], only["choices"]) == ("alias", [])


def test_calls_have_id_and_name_once() -> None:
    """Each call begins with id, type and name; then only its arguments come, by its index."""
    second: list[Event] = [CallStarted(1, "call_b", "clock"), CallArguments(1, "{}"), CallEnded(1)]
    stream = streamed(STARTED, Said("Hi"), *CALL, *second, Finished("tool_calls"))
    pieces = [delta["tool_calls"][0] for delta in deltas(stream) if "tool_calls" in delta]
    assert [piece["index"] for piece in pieces] == [0, 0, 0, 1, 1]
    assert [piece.get("id") for piece in pieces] == ["call_a", None, None, "call_b", None]
    choice = accumulate(stream).choices[0]
    first, last = choice.message.tool_calls or (None, None)
    assert first is not None and first.type == "function"
    assert (first.function.name, first.function.arguments) == ("weather", '{"city":"Oslo"}')
    assert last is not None and last.type == "function"
    assert (last.function.name, last.function.arguments) == ("clock", "{}")
    assert choice.finish_reason == "tool_calls"


def test_signed_thoughts_are_joined_to_blocks() -> None:
    """Text is `reasoning_content`; what its maker wants back is joined to whole blocks."""
    stream = streamed(
        *with_calls(
            Thinking("Let ", "anthropic"),
            Thinking("me", "anthropic"),
            ThoughtEnded("anthropic", "sig"),
            ThoughtEnded("anthropic", "hidden", is_redacted=True),
            Thinking("!", "anthropic"),
            ThoughtEnded("anthropic", "sig2"),
        )
    )
    extra = accumulate(stream).choices[0].message.model_extra or {}
    assert extra["reasoning_content"] == "Let me!"
    assert extra["thinking_blocks"] == [
        {"index": 0, "type": "thinking", "thinking": "Let me", "signature": "sig"},
        {"index": 1, "type": "redacted_thinking", "data": "hidden"},
        {"index": 2, "type": "thinking", "thinking": "!", "signature": "sig2"},
    ]


def test_an_unsigned_thought_is_only_text() -> None:
    """A thought that nobody wants back has no block."""
    stream = streamed(Thinking("Hm", "openai"), ThoughtEnded("openai"), Said("a"), Finished("stop"))
    assert not any("thinking_blocks" in delta for delta in deltas(stream))
    assert deltas(stream)[1] == {"reasoning_content": "Hm"}


def test_geminis_signature_is_marked() -> None:
    """A signature of Gemini's is in a block of its own that says whose it is."""
    stream = streamed(Thinking("Hm", "gemini"), ThoughtEnded("gemini", "s"), Finished("stop"))
    assert deltas(stream)[1:3] == [
        {"reasoning_content": "Hm"},
        {
            "thinking_blocks": [
                {"index": 0, "type": "thinking", "thinking": "", "signature": "lp1.gemini.s"}
            ]
        },
    ]


def test_sources_are_numbered() -> None:
    """Each annotation has its own index, so that clients append it; what leads nowhere is left."""
    stream = streamed(
        STARTED,
        Said("Hi"),
        Cited(Citation(url="https://a")),
        Cited(Citation(title="no address")),
        Cited(Citation(url="https://b", start=0, end=1)),
        Finished("stop"),
    )
    annotations = accumulate(stream).choices[0].message.annotations or []
    found = [(a.url_citation.url, a.url_citation.start_index) for a in annotations]
    assert found == [("https://a", 2), ("https://b", 0)]


def test_refusals_and_log_probabilities_stand_in_their_place() -> None:
    """A refusal's words are no content; log probabilities stand beside the delta."""
    tokens = b'{"content":[{"token":"a","logprob":-0.1,"bytes":null,"top_logprobs":[]}]}'
    stream = streamed(Refused("No"), Refused("!"), LogProbs(Raw(tokens)), Finished("stop"))
    choice = accumulate(stream).choices[0]
    assert (choice.message.refusal, choice.message.content or "") == ("No!", "")
    assert choice.logprobs is not None and choice.logprobs.content is not None
    assert choice.logprobs.content[0].token == "a"


def test_each_choice_has_its_own_role() -> None:
    """Several choices are told apart by their index, each with one role and one end."""
    stream = streamed(Said("a", 0), Said("b", 1), Finished("stop", 1), Finished("tool_calls", 0))
    roles = [
        choice["index"]
        for value in values(stream)
        for choice in value["choices"]
        if "role" in choice["delta"]
    ]
    assert roles == [0, 1]
    found = [(c.message.content, c.finish_reason) for c in accumulate(stream).choices]
    assert found == [("a", "tool_calls"), ("b", "stop")]


def test_who_offers_functions_is_called_in_their_form() -> None:
    """The deprecated form has one call, in `function_call`, and a reason of that name."""
    asked = {"functions": Raw(b'[{"name":"weather"}]')}
    second: list[Event] = [
        CallStarted(1, "call_b", "clock"),
        CallArguments(1, "{}"),
        CallEnded(1),
    ]
    events: list[Event] = [*CALL, *second, Finished("tool_calls")]
    ask = Ask("chat", "alias", asked, streams=True, asked_at=5)
    writer = OpenAIChunks(ask)
    choice = accumulate(writer.write(events) + writer.finish()).choices[0]
    called = choice.message.function_call
    assert called is not None
    assert (called.name, called.arguments) == ("weather", '{"city":"Oslo"}')
    assert (choice.finish_reason, choice.message.tool_calls) == ("function_call", None)
