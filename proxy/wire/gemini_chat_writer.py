"""
A chat request -> the body of Gemini's `generateContent`.

The messages are written by `gemini_contents.py`; here stands all that is beside them.
"""

from typing import Any

import msgspec
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Format, Tool, ToolChoice
from proxy.domain.errors import NotOffered
from proxy.wire.gemini_contents import ContentsWriter
from proxy.wire.gemini_models import GeminiModel, build_thinking, read_model
from proxy.wire.gemini_schema import (
    PartsLeft,
    is_empty_schema,
    write_json_schema,
    write_openapi_schema,
)
from proxy.wire.json_text import encode

MAX_STOPS = 5
MAX_CANDIDATES = 8
_SEEDS = range(-(2**31), 2**31)
_NULL = b"null"

_OWN = ("safetySettings", "cachedContent", "labels", "serviceTier")
_OWN_CONFIG = (
    *("responseModalities", "mediaResolution", "speechConfig", "imageConfig"),
    "thinkingConfig",
)
_TIERS = ("flex", "priority")

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


def write_gemini_chat(chat: ChatRequest, model: str, dropped: list[str]) -> bytes:
    """
    Return the body that asks a model of Gemini for what a chat request asks for.

    Args:
        chat: what is asked.
        model: whom it is sent to: what may be in it differs from one to the next.
        dropped: gets the names of what was left out, as OpenAI's clients know them.

    Raises:
        NotOffered: something that must not be left out cannot be said, or not to this model.

    Source: wire-formats §3.2; tests/wire/test_gemini_chat_writer.py.
    """
    known = read_model(model)
    body = _write_prompt(chat, known, dropped)
    config = _write_config(chat, known, dropped)
    extra = dict(chat.extra)
    if b'"audio"' in bytes(extra.pop("modalities", b"")):
        raise NotOffered("Gemini's chat models answer with text only.", param="modalities")
    for name in _OWN:
        if (value := _take(extra, name)) is not None:
            body[name] = value
    own = _read_config(extra)
    for name in _OWN_CONFIG:
        if (value := _take(extra, name)) is not None:
            own[name] = value
    # What was said by a name that all clients know goes before what Gemini alone would.
    config = {**own, **config}
    if config:
        body["generationConfig"] = config
    if chat.service_tier in _TIERS:
        body["serviceTier"] = chat.service_tier
    elif chat.service_tier not in (None, "auto", "default"):
        dropped.append("service_tier")
    dropped.extend(name for name, value in extra.items() if bytes(value) != _NULL)
    return encode(body)


def write_gemini_count(chat: ChatRequest, model: str) -> bytes:
    """
    Return the body that asks how many tokens the prompt of a request has.

    Raises:
        NotOffered: as `write_gemini_chat`.
    """
    prompt = _write_prompt(chat, read_model(model), [])
    prompt.pop("toolConfig", None)
    return encode({"generateContentRequest": {"model": f"models/{model}", **prompt}})


def _write_prompt(chat: ChatRequest, model: GeminiModel, dropped: list[str]) -> dict[str, Any]:
    writer = ContentsWriter(model, dropped)
    writer.write(chat.messages)
    body: dict[str, Any] = {"contents": writer.contents}
    if writer.instructions:
        body["systemInstruction"] = {"parts": writer.instructions}
    choice = chat.tool_choice
    tools = chat.tools
    if choice is not None and choice.mode == "auto" and choice.names:
        # Names bound nothing but calls that must be made: the others are not told of.
        tools = tuple(tool for tool in tools if tool.name in choice.names)
    if not tools:
        return body
    left = PartsLeft()
    body["tools"] = [{"functionDeclarations": [_write_tool(tool, model, left) for tool in tools]}]
    if choice is not None:
        body["toolConfig"] = {"functionCallingConfig": _write_choice(choice)}
    if any(tool.is_strict for tool in tools):
        dropped.append("strict")
    if chat.is_parallel is False:
        dropped.append("parallel_tool_calls")
    return body


def _write_tool(tool: Tool, model: GeminiModel, left: PartsLeft) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.parameters is None or is_empty_schema(tool.parameters):
        return written
    if model.takes_json_schema:
        written["parametersJsonSchema"] = write_json_schema(tool.parameters)
    else:
        written["parameters"] = write_openapi_schema(tool.parameters, left)
    return written


def _write_choice(choice: ToolChoice) -> dict[str, Any]:
    if choice.mode == "none":
        return {"mode": "NONE"}
    if choice.mode == "auto":
        return {"mode": "AUTO"}
    written: dict[str, Any] = {"mode": "ANY"}
    if choice.names:
        written["allowedFunctionNames"] = list(choice.names)
    return written


def _write_config(chat: ChatRequest, model: GeminiModel, dropped: list[str]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if chat.max_tokens is not None:
        config["maxOutputTokens"] = chat.max_tokens
    stops = [stop for stop in chat.stop if stop]
    if len(stops) > MAX_STOPS:
        raise NotOffered(f"Gemini takes at most {MAX_STOPS} stop sequences.", param="stop")
    if stops:
        config["stopSequences"] = stops
    if chat.choices > MAX_CANDIDATES:
        raise NotOffered(f"Gemini gives at most {MAX_CANDIDATES} choices.", param="n")
    if chat.choices > 1:
        config["candidateCount"] = chat.choices
    _write_sampling(chat, model, config, dropped)
    if chat.log_probs is not None:
        config["responseLogprobs"] = True
        if chat.log_probs > 0:
            config["logprobs"] = chat.log_probs
    if chat.format is not None:
        _write_format(chat.format, model, config, has_tools=bool(chat.tools))
    if chat.reasoning is not None:
        thinking = build_thinking(model, chat.reasoning)
        if thinking is not None:
            config["thinkingConfig"] = thinking
        elif chat.reasoning.effort != "none":
            dropped.append("reasoning_effort")
    for name, value in (("logit_bias", chat.logit_bias), ("user", chat.user)):
        if value is not None:
            dropped.append(name)
    return config


def _write_sampling(
    chat: ChatRequest, model: GeminiModel, config: dict[str, Any], dropped: list[str]
) -> None:
    if chat.seed is not None and chat.seed not in _SEEDS:
        dropped.append("seed")
    elif chat.seed is not None:
        config["seed"] = chat.seed
    for name, field, value, is_taken in (
        ("temperature", "temperature", chat.temperature, model.takes_sampling),
        ("top_p", "topP", chat.top_p, model.takes_sampling),
        ("top_k", "topK", chat.top_k, model.takes_sampling),
        ("presence_penalty", "presencePenalty", chat.presence_penalty, model.takes_penalties),
        ("frequency_penalty", "frequencyPenalty", chat.frequency_penalty, model.takes_penalties),
    ):
        if value is None:
            continue
        if is_taken:
            config[field] = value
        else:
            dropped.append(name)


def _write_format(
    wanted: Format, model: GeminiModel, config: dict[str, Any], *, has_tools: bool
) -> None:
    if has_tools and not model.formats_beside_tools:
        raise NotOffered(
            "This model of Gemini cannot be bound to JSON where it is given tools.",
            param="response_format",
        )
    config["responseMimeType"] = "application/json"
    if wanted.schema is None:
        return
    if model.takes_json_schema:
        config["responseJsonSchema"] = write_json_schema(wanted.schema)
    else:
        config["responseSchema"] = write_openapi_schema(wanted.schema, PartsLeft())


def _take(extra: dict[str, Raw], name: str) -> Raw | None:
    """Return a field of Gemini's own, by either spelling of its name, and take it out."""
    spelled = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    values = [extra.pop(spelling, None) for spelling in (name, spelled)]
    return next((value for value in values if value is not None and bytes(value) != _NULL), None)


def _read_config(extra: dict[str, Raw]) -> dict[str, Raw]:
    """Return the members of a `generationConfig` that the client has written itself."""
    raw = _take(extra, "generationConfig")
    if raw is None:
        return {}
    try:
        config = _decode_object(raw)
    except (ValueError, RecursionError):
        raise NotOffered(
            "'generationConfig' must be an object.", param="generationConfig"
        ) from None
    # How many answers are due is known by `n` alone.
    _take(config, "candidateCount")
    return config
