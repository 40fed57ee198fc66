"""A chat request of any dialect, written for a provider that speaks OpenAI's format."""

from collections.abc import Mapping, MutableSequence
from types import MappingProxyType

import msgspec
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Effort, Format, Reasoning, Tool, ToolChoice
from proxy.wire.openai_messages import write_messages

LIMIT = "max_completion_tokens"
"""What bounds an answer; not every provider calls it so."""
EFFORT = "reasoning_effort"
"""How much is to be thought."""
_OWN = frozenset(
    (
        *("audio", "modalities", "moderation", "prediction", "prompt_cache_key"),
        *("prompt_cache_options", "prompt_cache_retention", "store", "verbosity"),
        "web_search_options",
    )
)
"""What OpenAI's format has beside the fields of a ChatRequest, under names that are its alone."""
_SERVICE_TIERS: Mapping[str, str] = MappingProxyType({"standard_only": "default"})
"""Anthropic's word for what OpenAI calls otherwise."""
_DEFAULT_SCHEMA_NAME = "answer"
_EFFORT_BUDGETS: tuple[tuple[int, Effort], ...] = ((4096, "low"), (16384, "medium"))
"""Up to so many tokens for thoughts come to this effort; more come to `high`."""

_encode = msgspec.json.encode


def write_openai_chat(
    chat: ChatRequest,
    dropped: MutableSequence[str],
    *,
    also_takes: frozenset[str] = frozenset(),
    thoughts_as: str | None = None,
) -> dict[str, Raw | bytes]:
    """
    Return the fields of a chat completion, but for its model and its `stream_options`.

    Args:
        chat: what is asked.
        dropped: gets the names of what has no place in them.
        also_takes: fields beside OpenAI's that the provider knows, such as `top_k`.
        thoughts_as: the member of an assistant's message in which the provider takes its own
            thoughts back; None: it takes none.

    Raises:
        NotOffered: it holds what OpenAI's format cannot carry, such as a file by its address.

    Source: wire-formats §2.2; tests/wire/test_openai_chat_writer.py.
    """
    fields: dict[str, Raw | bytes] = {
        "messages": _encode(write_messages(chat.messages, thoughts_as))
    }
    if chat.tools:
        fields["tools"] = _encode([_build_tool(tool) for tool in chat.tools])
        if chat.tool_choice is not None:
            fields["tool_choice"] = _encode(_build_choice(chat.tool_choice))
        if chat.is_parallel is not None:
            fields["parallel_tool_calls"] = _encode(chat.is_parallel)
    numbers = {
        LIMIT: chat.max_tokens,
        "temperature": chat.temperature,
        "top_p": chat.top_p,
        "seed": chat.seed,
        "presence_penalty": chat.presence_penalty,
        "frequency_penalty": chat.frequency_penalty,
        "n": chat.choices if chat.choices > 1 else None,
    }
    fields.update((name, _encode(value)) for name, value in numbers.items() if value is not None)
    if chat.stop:
        fields["stop"] = _encode(chat.stop)
    if chat.logit_bias is not None:
        fields["logit_bias"] = chat.logit_bias
    if chat.log_probs is not None:
        fields["logprobs"] = b"true"
        if chat.log_probs:
            fields["top_logprobs"] = _encode(chat.log_probs)
    if chat.format is not None:
        fields["response_format"] = _encode(_build_format(chat.format))
    effort = _find_effort(chat.reasoning, dropped)
    if effort is not None:
        fields[EFFORT] = _encode(effort)
    if chat.user is not None:
        fields["user"] = _encode(chat.user)
    if chat.service_tier is not None:
        tier = _SERVICE_TIERS.get(chat.service_tier, chat.service_tier)
        fields["service_tier"] = _encode(tier)
    if chat.streams:
        fields["stream"] = b"true"
    others = dict(chat.extra)
    if chat.top_k is not None:
        others["top_k"] = Raw(_encode(chat.top_k))
    _add_others(fields, others, dropped, also_takes)
    return fields


def _add_others(
    fields: dict[str, Raw | bytes],
    others: Mapping[str, Raw],
    dropped: MutableSequence[str],
    also_takes: frozenset[str],
) -> None:
    for name in sorted(others):
        if name in _OWN or name in also_takes:
            fields[name] = others[name]
        else:
            dropped.append(name)


def _build_tool(tool: Tool) -> dict[str, object]:
    function: dict[str, object] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.is_strict is not None:
        function["strict"] = tool.is_strict
    return {"type": "function", "function": function}


def _build_choice(choice: ToolChoice) -> object:
    names = [{"type": "function", "function": {"name": name}} for name in choice.names]
    if not names or choice.mode == "none":
        return choice.mode
    if choice.mode == "required" and len(names) == 1:
        return names[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": names}}


def _build_format(wanted: Format) -> dict[str, object]:
    if wanted.schema is None:
        return {"type": "json_object"}
    schema: dict[str, object] = {"name": wanted.name or _DEFAULT_SCHEMA_NAME}
    if wanted.description is not None:
        schema["description"] = wanted.description
    schema["schema"] = wanted.schema
    if wanted.is_strict is not None:
        schema["strict"] = wanted.is_strict
    return {"type": "json_schema", "json_schema": schema}


def _find_effort(reasoning: Reasoning | None, dropped: MutableSequence[str]) -> Effort | None:
    if reasoning is None:
        return None
    if reasoning.effort == "none":
        # Models that never think refuse the word, and so do those that always do.
        dropped.append(EFFORT)
        return None
    if reasoning.effort is not None or reasoning.budget_tokens is None:
        return reasoning.effort
    for budget_tokens, effort in _EFFORT_BUDGETS:
        if reasoning.budget_tokens <= budget_tokens:
            return effort
    return "high"
