"""A chat request -> the fields of a request to Anthropic's Messages API."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from proxy.domain.chat import ChatRequest
from proxy.domain.errors import NotOffered
from proxy.wire.anthropic_blocks import Json
from proxy.wire.anthropic_schema import write_strict_schema
from proxy.wire.anthropic_thinking import (
    NO_THINKING,
    Thinking,
    decide_thinking,
    lacks_thoughts,
)
from proxy.wire.anthropic_tools import (
    build_choice,
    build_schema_tool,
    build_tools,
    name_schema_tool,
)
from proxy.wire.anthropic_turns import build_turns
from proxy.wire.claude_models import ClaudeModel, find_claude
from proxy.wire.json_text import encode

NO_SAMPLING_VERSION = "2026-10-21"
"""The first version of the API in which `temperature` and its like are errors."""
_OWN = frozenset(
    (
        *("thinking", "output_config", "cache_control", "container", "inference_geo"),
        *("diagnostics", "speed", "context_management", "mcp_servers"),
    )
)
"""Fields of Anthropic's that clients of other dialects may add as they are."""
_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_LEAST_TOP_P = 0.95
"""Beside thoughts no less is taken."""
_JSON_ONLY = "Answer with one JSON object and nothing else, without a code fence around it."
_FALSY = (b"", b"null", b"{}", b"[]")


class _Thinking(Struct):
    type: str = ""
    budget_tokens: int = 0


_decode_thinking = msgspec.json.Decoder(_Thinking).decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


def write_anthropic_chat(
    chat: ChatRequest, model: str, version: str, dropped: list[str]
) -> dict[str, Raw | bytes]:
    """
    Return the fields of the request, by name.

    Args:
        chat: what is asked.
        model: by the provider's name for it; what it takes is read off the name.
        version: of Anthropic's API, in which the request is sent.
        dropped: gets the names of what is left out.

    Raises:
        NotOffered: sound, an unreadable file, several choices: what cannot be left out.
        InvalidRequest: a text file whose bytes are no text.

    Source: wire-formats §3.1; tests/wire/test_anthropic_chat_writer.py.
    """
    _refuse_what_must_not_be_lost(chat)
    claude = find_claude(model)
    forces_tool = _forces_tool(chat)
    # Where one of the client's tools must be called, there is no answer to be given.
    schema_tool = None if claude.takes_schemas or forces_tool else name_schema_tool(chat)
    own = _read_thinking(chat.extra.get("thinking"))
    if own is not None and own.is_on and lacks_thoughts(chat.messages):
        dropped.append("thinking")
        own = NO_THINKING
    thinking = own or decide_thinking(chat, claude, dropped, forces_tool=forces_tool)
    turns = build_turns(chat.messages)
    if chat.format is not None and chat.format.schema is None:
        turns.system.append({"type": "text", "text": _JSON_ONLY})
    fields: Json = {"model": model, "max_tokens": _find_limit(chat, claude, thinking)}
    if turns.system:
        fields["system"] = turns.system
    fields["messages"] = turns.messages
    _add_tools(fields, chat, claude, schema_tool, thinking, dropped)
    if thinking.thinking is not None:
        fields["thinking"] = thinking.thinking
    output = _build_output(chat, claude, thinking)
    if output:
        fields["output_config"] = output
    if stops := [stop for stop in chat.stop if stop.strip()]:
        fields["stop_sequences"] = stops
    if len(stops) < len(chat.stop):
        dropped.append("stop")
    _add_sampling(fields, chat, claude, version, dropped, thinks=thinking.is_on)
    _add_user(fields, chat, dropped)
    if chat.service_tier is not None:
        tier = _TIERS.get(chat.service_tier)
        if tier is None:
            dropped.append("service_tier")
        else:
            fields["service_tier"] = tier
    if chat.streams:
        fields["stream"] = True
    _add_own(fields, chat, dropped, may_think=own is not NO_THINKING)
    _name_lost(chat, dropped)
    return {name: value if type(value) is Raw else encode(value) for name, value in fields.items()}


def find_unwrapped(chat: ChatRequest) -> str | None:
    """Return the tool whose arguments are the answer's text; see `AnthropicDecoder`."""
    return name_schema_tool(chat)


def _refuse_what_must_not_be_lost(chat: ChatRequest) -> None:
    if chat.choices > 1:
        raise NotOffered("This provider gives one choice only.", param="n")
    if b'"audio"' in bytes(chat.extra.get("modalities", b"")):
        raise NotOffered("This provider answers in text only, not in sound.", param="modalities")


def _read_thinking(raw: Raw | None) -> Thinking | None:
    """Return what a client has said itself in Anthropic's words; it is sent as it came."""
    if raw is None or bytes(raw) in _FALSY:
        return None
    try:
        said = _decode_thinking(raw)
    except (ValueError, RecursionError):
        return None
    return Thinking({"type": said.type}, budget_tokens=max(said.budget_tokens, 0))


def _forces_tool(chat: ChatRequest) -> bool:
    return bool(chat.tools) and chat.tool_choice is not None and chat.tool_choice.mode == "required"


def _find_limit(chat: ChatRequest, claude: ClaudeModel, thinking: Thinking) -> int:
    if chat.max_tokens is not None:
        return chat.max_tokens
    return claude.max_tokens + thinking.budget_tokens


def _add_tools(
    fields: Json,
    chat: ChatRequest,
    claude: ClaudeModel,
    schema_tool: str | None,
    thinking: Thinking,
    dropped: list[str],
) -> None:
    tools = build_tools(chat, claude, dropped)
    if schema_tool is not None:
        tools.append(build_schema_tool(chat, schema_tool))
    if not tools:
        return
    fields["tools"] = tools
    choice = build_choice(chat, schema_tool, may_force=not thinking.is_on)
    if choice is not None:
        fields["tool_choice"] = choice


def _build_output(chat: ChatRequest, claude: ClaudeModel, thinking: Thinking) -> Json:
    output: Json = {}
    if thinking.effort is not None:
        output["effort"] = thinking.effort
    if chat.format is not None and chat.format.schema is not None and claude.takes_schemas:
        output["format"] = {
            "type": "json_schema",
            "schema": write_strict_schema(chat.format.schema),
        }
    return output


def _add_sampling(
    fields: Json,
    chat: ChatRequest,
    claude: ClaudeModel,
    version: str,
    dropped: list[str],
    *,
    thinks: bool,
) -> None:
    wanted: dict[str, float | None] = {
        "temperature": None if chat.temperature is None else min(chat.temperature, 1.0),
        "top_p": chat.top_p,
        "top_k": chat.top_k,
    }
    may_sample = claude.takes_sampling and version < NO_SAMPLING_VERSION
    for name, value in wanted.items():
        if value is None:
            continue
        is_taken = may_sample and not (thinks and _disturbs_thoughts(name, value))
        if name == "top_p" and "temperature" in fields and not claude.takes_both:
            is_taken = False
        if is_taken:
            fields[name] = value
        else:
            dropped.append(name)


def _disturbs_thoughts(name: str, value: float) -> bool:
    if name == "temperature":
        return value != 1.0
    return name == "top_k" or value < _LEAST_TOP_P


def _add_user(fields: Json, chat: ChatRequest, dropped: list[str]) -> None:
    metadata = _read_metadata(chat.extra.get("metadata"))
    user = chat.user or metadata or _read_text(chat.extra.get("safety_identifier"))
    if user is None:
        return
    if "@" in user:
        # It may not say who somebody is, and an address is refused.
        dropped.append("user")
    else:
        fields["metadata"] = {"user_id": user}


def _add_own(fields: Json, chat: ChatRequest, dropped: list[str], *, may_think: bool) -> None:
    for name, raw in chat.extra.items():
        # An empty object asks for a search, as any other does.
        says_nothing = bytes(raw) in _FALSY and name != "web_search_options"
        if says_nothing or (name == "thinking" and not may_think):
            continue
        if name not in _OWN:
            is_used = name == "safety_identifier" or (
                name == "metadata" and _read_metadata(raw) is not None
            )
            if not is_used:
                dropped.append(name)
        elif name == "output_config" and name in fields:
            fields[name] = {**fields[name], **_read_object(raw)}
        else:
            fields[name] = raw


def _name_lost(chat: ChatRequest, dropped: list[str]) -> None:
    """Name what Anthropic has no field for, where it would have made a difference."""
    lost: Mapping[str, object] = {
        "seed": chat.seed is not None,
        "presence_penalty": chat.presence_penalty,
        "frequency_penalty": chat.frequency_penalty,
        "logit_bias": chat.logit_bias is not None and bytes(chat.logit_bias) not in _FALSY,
        "logprobs": chat.log_probs is not None,
    }
    dropped.extend(name for name, is_said in lost.items() if is_said)


def _read_metadata(raw: Raw | None) -> str | None:
    """Return the one thing that Anthropic's metadata may hold."""
    return None if raw is None else _read_text(_read_object(raw).get("user_id"))


def _read_object(raw: Raw) -> dict[str, Raw]:
    try:
        return _decode_object(raw)
    except (ValueError, RecursionError):
        return {}


def _read_text(raw: Raw | None) -> str | None:
    try:
        return None if raw is None else _decode_text(raw) or None
    except (ValueError, RecursionError):
        return None
