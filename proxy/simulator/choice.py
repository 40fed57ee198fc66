"""
What one choice of an answer says: which text or tool call, cut where the client asked.

Used by `chat.py` and `completions.py`; how it is written on the wire is their business.
"""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import ChatAsk, Function
from proxy.simulator.knobs import Knobs
from proxy.simulator.schema_value import SchemaError, build_value
from proxy.simulator.stories import STORIES
from proxy.simulator.tokens import count_tokens, split_tokens

_REFUSAL = "I cannot help with that."
_THOUGHT = " Let me see what was asked, and then say it as plainly as I can."
_MOST_TOKENS = 256_000
_MOST_CHARACTERS = 4_000_000


class Called(Struct, frozen=True):
    """One call of a function; `tokens` joined are its arguments."""

    id: str
    name: str
    tokens: tuple[str, ...]

    @property
    def arguments(self) -> str:
        """The whole arguments, as JSON."""
        return "".join(self.tokens)


class Choice(Struct, frozen=True):
    """
    One finished choice.

    `tokens` joined are the text, or with `is_refusal` the words by which it declines; there are
    none where there are `calls`. `thoughts` came before all that.
    """

    index: int
    tokens: tuple[str, ...]
    finish_reason: str
    calls: tuple[Called, ...] = ()
    thoughts: tuple[str, ...] = ()
    is_refusal: bool = False

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.tokens)

    @property
    def token_count(self) -> int:
        """Tokens as usage counts them: the name of a called function is one more."""
        called = sum(1 + len(call.tokens) for call in self.calls)
        return len(self.thoughts) + len(self.tokens) + called


def count_prompt(texts: Sequence[str], choices: int, knobs: Knobs) -> int:
    """Return the tokens of a prompt; InvalidRequest if the answer to it could be enormous."""
    tokens = _MOST_TOKENS + 1
    if sum(map(len, texts)) <= _MOST_CHARACTERS:
        tokens = sum(map(count_tokens, texts))
    if max(tokens, knobs.tokens or 0) * choices > _MOST_TOKENS:
        raise InvalidRequest(
            f"This model's maximum context length is {_MOST_TOKENS} tokens over all choices. "
            "Please reduce the length of the messages or the number of choices.",
            param="messages",
            code="context_length_exceeded",
        )
    return tokens


def decide_choice(ask: ChatAsk, base: str, knobs: Knobs, seed: int, index: int) -> Choice:
    """Return what the model `base` answers as its choice `index`."""
    limit = ask.limit_tokens
    thoughts = think(knobs)[:limit]
    if limit is not None:
        limit -= len(thoughts)
    functions = _chosen_functions(ask, base, knobs)
    if functions:
        return _call(functions, ask, seed, index, limit, thoughts)
    if base == "sim-refuse":
        return Choice(
            index, tuple(split_tokens(_REFUSAL)), "stop", thoughts=thoughts, is_refusal=True
        )
    text = _chat_text(ask, base, knobs, seed, index)
    tokens, reason = cut_text(text, ask.stops, limit)
    return Choice(index, tokens, reason, thoughts=thoughts)


def think(knobs: Knobs) -> tuple[str, ...]:
    """Return as many tokens of thought as the knobs ask for."""
    tokens = split_tokens(_THOUGHT)
    return tuple([tokens[number % len(tokens)] for number in range(knobs.thoughts or 0)])


def cut_text(text: str, stops: tuple[str, ...], limit: int | None) -> tuple[tuple[str, ...], str]:
    """Return the tokens before the first stop text, at most `limit`, and the finish reason."""
    ends = [end for end in (text.find(stop) for stop in stops) if end >= 0]
    tokens = split_tokens(text[: min(ends)] if ends else text)
    if limit is not None and len(tokens) > limit:
        return tuple(tokens[:limit]), "length"
    return tuple(tokens), "stop"


def tell_story(knobs: Knobs, seed: int) -> str:
    """Return a story, as long as the knobs ask for."""
    story = STORIES[seed % len(STORIES)]
    if knobs.tokens is None:
        return story
    tokens = split_tokens("\n\n" + story)
    rounds, rest = divmod(knobs.tokens, len(tokens))
    return "".join(tokens * rounds + tokens[:rest]).lstrip("\n")


def _chat_text(ask: ChatAsk, base: str, knobs: Knobs, seed: int, index: int) -> str:
    wanted = ask.response_format
    if wanted is not None and wanted.type == "json_schema":
        schema = wanted.json_schema.schema if wanted.json_schema is not None else None
        return _write_json(schema or {}, ask, seed + index, "response_format")
    if wanted is not None and wanted.type == "json_object":
        text = _plain_text(ask, base, knobs, seed + index)
        return msgspec.json.encode({"answer": text}).decode()
    if wanted is not None and wanted.type != "text":
        raise InvalidRequest(
            "'response_format.type' must be 'text', 'json_object' or 'json_schema'.",
            param="response_format.type",
        )
    return _plain_text(ask, base, knobs, seed + index)


def _plain_text(ask: ChatAsk, base: str, knobs: Knobs, seed: int) -> str:
    if base == "sim-echo":
        return ask.last_user_text or "You have not said anything yet."
    if base == "sim-look":
        return f"I see: {', '.join(ask.seen) or 'nothing'}."
    if base == "sim-tools":
        last = ask.messages[-1]
        if last.role == "tool":
            return f"The tool answered: {last.text or 'nothing'}"
        return "There is no tool that I may call. Offer one in 'tools'."
    return tell_story(knobs, seed)


def _call(
    functions: list[Function],
    ask: ChatAsk,
    seed: int,
    index: int,
    limit: int | None,
    thoughts: tuple[str, ...],
) -> Choice:
    """Return a choice that calls the functions, as far as the limit lets it."""
    chance = random.Random(seed + index)
    reason = "tool_calls"
    calls: list[Called] = []
    for number, function in enumerate(functions):
        if reason == "length" or (limit is not None and limit <= 0 and calls):
            reason = "length"
            break
        arguments = "{}"
        if function.parameters and function.parameters.get("properties") != {}:
            own_seed = seed + index + number
            arguments = _write_json(function.parameters, ask, own_seed, "tools")
        tokens, ending = cut_text(arguments, (), None if limit is None else max(limit - 1, 0))
        if limit is not None:
            limit -= 1 + len(tokens)
        calls.append(Called("call_" + chance.randbytes(12).hex(), function.name, tokens))
        reason = "length" if ending == "length" else reason
    return Choice(index, (), reason, tuple(calls), thoughts)


def _chosen_functions(ask: ChatAsk, base: str, knobs: Knobs) -> list[Function]:
    """Return what is called at once: functions as often as the knobs say, one after the other."""
    first = _chosen_function(ask, base)
    if first is None:
        return []
    count = (knobs.calls or 1) if ask.parallel_tool_calls is not False else 1
    offered = [tool.function for tool in ask.tools or () if tool.function]
    if isinstance(ask.tool_choice, dict):
        offered = [first]
    return [offered[number % len(offered)] for number in range(count)]


def _chosen_function(ask: ChatAsk, base: str) -> Function | None:
    """Return the function to call: one that the client insists on, or `sim-tools`'s first."""
    offered = {tool.function.name: tool.function for tool in ask.tools or () if tool.function}
    choice = ask.tool_choice
    if isinstance(choice, dict):
        name, insists = _named_function(choice)
    else:
        name, insists = next(iter(offered), None), choice == "required"
    if insists and (name is None or name not in offered):
        raise InvalidRequest(
            "'tool_choice' asks for a function that is not in 'tools'.", param="tool_choice"
        )
    if choice == "none" or name is None:
        return None
    if insists or (base == "sim-tools" and ask.messages[-1].role != "tool"):
        return offered[name]
    return None


def _named_function(choice: dict[str, Any]) -> tuple[str | None, bool]:
    """Return the name that a `tool_choice` object gives, and whether it must be called."""
    insists = True
    allowed = choice.get("allowed_tools")
    if isinstance(allowed, dict):
        insists = allowed.get("mode") != "auto"
        tools = allowed.get("tools")
        first = tools[0] if isinstance(tools, list) and tools else None
        choice = first if isinstance(first, dict) else {}
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    return (name if isinstance(name, str) else None), insists


def _write_json(schema: dict[str, Any], ask: ChatAsk, seed: int, param: str) -> str:
    try:
        value = build_value(schema, random.Random(seed), ask.last_user_text)
    except SchemaError as error:
        raise InvalidRequest(f"The JSON schema cannot be met: {error}", param=param) from None
    return msgspec.json.encode(value).decode()
