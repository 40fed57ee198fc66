"""
A chat request -> the body of Cohere's `/v2/chat`.

The messages are written by `cohere_messages.py`; here stands all that is beside them.
"""

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import ChatRequest, Effort, Format, Reasoning, Tool
from proxy.domain.errors import NotOffered
from proxy.wire.cohere_messages import write_cohere_messages
from proxy.wire.json_text import encode

MAX_STOPS = 5
MAX_TOP_K = 500
_LOWEST_TOP_P, _HIGHEST_TOP_P = 0.01, 0.99
_SEEDS = range(2**64)
_NULL = b"null"
_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
"""Cohere asks for a schema also of a tool that takes nothing."""
_BUDGETS: dict[Effort, int] = {"minimal": 1024, "low": 1024, "medium": 8192}
"""Tokens for thoughts; more effort than these is not bounded."""
_NEVER_THINKS = re.compile(
    r"command(?:-r(?!eason)|-light|-nightly|$)|command-a-(?:03-2025|vision|translate)|(?:c4ai-)?aya"
)
"""Names of models from before those that think; a name that says nothing is taken for a new one."""

_OWN = frozenset(
    (
        *("documents", "citation_options", "safety_mode", "strict_tools", "priority"),
        *("thinking", "k", "p", "stop_sequences"),
    )
)


class _Schema(Struct):
    required: list[str] = []


_decode_schema = msgspec.json.Decoder(_Schema).decode


def write_cohere_chat(chat: ChatRequest, model: str, dropped: list[str]) -> bytes:
    """
    Return the body that asks a model of Cohere's for what a chat request asks for.

    Args:
        chat: what is asked.
        model: whom it is sent to.
        dropped: gets the names of what was left out, as OpenAI's clients know them.

    Raises:
        NotOffered: something that must not be left out cannot be said.

    Source: wire-formats §3.3; tests/wire/test_cohere_chat_writer.py.
    """
    extra = {name: raw for name, raw in chat.extra.items() if bytes(raw) != _NULL}
    if chat.choices > 1:
        raise NotOffered("Cohere gives one choice.", param="n")
    if b'"audio"' in bytes(extra.pop("modalities", b"")):
        raise NotOffered("Cohere answers with text only.", param="modalities")
    body: dict[str, Any] = {"model": model, "messages": write_cohere_messages(chat.messages)}
    _write_tools(chat, body, dropped)
    # A format is of a text, which an answer that must be a call does not have.
    if chat.format is not None and body.get("tool_choice") != "REQUIRED":
        if chat.tools or "documents" in extra:
            raise NotOffered(
                "Cohere cannot be bound to JSON where it is given tools or documents.",
                param="response_format",
            )
        body["response_format"] = _build_format(chat.format)
    _write_sampling(chat, body, dropped)
    if chat.reasoning is not None:
        _write_thinking(chat.reasoning, model, body, dropped)
    tier = None if chat.service_tier in ("auto", "default") else chat.service_tier
    unknown = {"logit_bias": chat.logit_bias, "user": chat.user, "service_tier": tier}
    dropped.extend(name for name, said in unknown.items() if said is not None)
    if chat.streams:
        body["stream"] = True
    for name, value in extra.items():
        if name not in _OWN:
            dropped.append(name)
        else:
            # What was said by a name that all clients know goes before what Cohere alone would.
            body.setdefault(name, value)
    return encode(body)


def _write_tools(chat: ChatRequest, body: dict[str, Any], dropped: list[str]) -> None:
    choice, tools = chat.tool_choice, chat.tools
    if choice is not None and choice.names and choice.mode != "none":
        # There is no way to name them: the others are not told of.
        tools = tuple(tool for tool in tools if tool.name in choice.names)
    if not tools:
        return
    body["tools"] = [_build_tool(tool) for tool in tools]
    if choice is not None and choice.mode != "auto":
        body["tool_choice"] = choice.mode.upper()
    if any(tool.is_strict for tool in tools):
        if all(_may_be_strict(tool) for tool in tools):
            body["strict_tools"] = True
        else:
            dropped.append("strict")
    if chat.is_parallel is False:
        dropped.append("parallel_tool_calls")


def _build_tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or _NO_PARAMETERS
    return {"type": "function", "function": function}


def _may_be_strict(tool: Tool) -> bool:
    """Return whether a tool is to be strict, and Cohere takes it as such: for all or for none."""
    if not tool.is_strict or tool.parameters is None:
        return False
    try:
        return bool(_decode_schema(tool.parameters).required)
    except (ValueError, RecursionError):
        return False


def _build_format(wanted: Format) -> dict[str, Any]:
    if wanted.schema is None:
        return {"type": "json_object"}
    return {"type": "json_object", "json_schema": wanted.schema}


def _write_sampling(chat: ChatRequest, body: dict[str, Any], dropped: list[str]) -> None:
    if chat.max_tokens is not None:
        body["max_tokens"] = chat.max_tokens
    stops = [stop for stop in chat.stop if stop]
    if len(stops) > MAX_STOPS:
        raise NotOffered(f"Cohere takes at most {MAX_STOPS} stop sequences.", param="stop")
    if stops:
        body["stop_sequences"] = stops
    if chat.temperature is not None:
        body["temperature"] = chat.temperature
    if chat.top_p is not None:
        body["p"] = min(max(chat.top_p, _LOWEST_TOP_P), _HIGHEST_TOP_P)
    if chat.top_k is not None:
        body["k"] = min(max(chat.top_k, 0), MAX_TOP_K)
    for name, penalty in (
        ("frequency_penalty", chat.frequency_penalty),
        ("presence_penalty", chat.presence_penalty),
    ):
        if penalty is not None:
            body[name] = min(max(penalty, 0.0), 1.0)
    if chat.seed is not None and chat.seed in _SEEDS:
        body["seed"] = chat.seed
    elif chat.seed is not None:
        dropped.append("seed")
    if chat.log_probs is not None:
        body["logprobs"] = True
        if chat.log_probs:
            dropped.append("top_logprobs")


def _write_thinking(
    wanted: Reasoning, model: str, body: dict[str, Any], dropped: list[str]
) -> None:
    if _NEVER_THINKS.match(model):
        if wanted.effort != "none":
            dropped.append("reasoning_effort")
        return
    if wanted.effort == "none":
        body["thinking"] = {"type": "disabled"}
        return
    body["thinking"] = {"type": "enabled"}
    budget = wanted.budget_tokens
    if budget is None and wanted.effort is not None:
        budget = _BUDGETS.get(wanted.effort)
    if budget is not None:
        body["thinking"]["token_budget"] = budget
