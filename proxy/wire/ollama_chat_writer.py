"""A chat request -> the body of Ollama's `/api/chat`, with a window that the request fits into."""

from collections.abc import MutableSequence
from typing import Any

import msgspec
from msgspec import Raw

from proxy.domain.chat import ChatRequest, Effort, Reasoning, Tool
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.wire.context_window import WindowBounds, choose_window
from proxy.wire.forced_call import find_forced, tell_forced
from proxy.wire.json_text import encode
from proxy.wire.ollama_messages import write_ollama_messages

_NULL = b"null"
_OWN = ("keep_alive", "truncate", "shift")
"""Fields of Ollama's own that clients of any dialect may send."""
_OWN_OPTIONS = {
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
    "repeat_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
}
"""Names by which clients of OpenAI's format ask for options of Ollama's."""
_LEVELS: dict[Effort, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "max",
}
_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_OPTIONS = "'options' must be an object such as {'num_ctx': 8192}."

_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_integer = msgspec.json.Decoder(int).decode


def write_ollama_chat(
    chat: ChatRequest, model: str, bounds: WindowBounds, dropped: MutableSequence[str]
) -> bytes:
    """
    Return the body that asks a model of Ollama for what a chat request asks for.

    `truncate` and `shift` are false unless the client has set them: what does not fit into the
    window is refused then, where Ollama would forget the beginning of it.

    Ollama cannot be told that a tool must be called. Where there is one that must, the answer is
    bound to the schema of its arguments instead (`forced_call.py`).

    Args:
        chat: what is asked.
        model: its name at the server.
        bounds: of the window of context.
        dropped: gets the names of what was left out, as OpenAI's clients know them.

    Raises:
        NotOffered: something that must not be left out cannot be said.
        InvalidRequest: `options` is of a shape that cannot be read.

    Source: wire-formats §3.4; tests/wire/test_ollama_chat_writer.py.
    """
    forced = find_forced(chat)
    written = write_ollama_messages(chat.messages)
    if forced is not None:
        _tell(written.messages, tell_forced(forced))
    messages = encode(written.messages)
    body: dict[str, Any] = {"model": model, "messages": Raw(messages), "stream": chat.streams}
    prompt_bytes = len(messages) - written.picture_bytes
    tools = _choose_tools(chat, dropped) if forced is None else ()
    if tools:
        body["tools"] = Raw(encode([_build_tool(tool) for tool in tools]))
        prompt_bytes += len(memoryview(body["tools"]))
    if forced is not None:
        body["format"] = _NO_PARAMETERS if forced.parameters is None else forced.parameters
    elif chat.format is not None:
        body["format"] = "json" if chat.format.schema is None else chat.format.schema
    if chat.reasoning is not None:
        body["think"] = _find_level(chat.reasoning)
    if chat.log_probs is not None:
        body["logprobs"] = True
        if chat.log_probs:
            body["top_logprobs"] = chat.log_probs
    extra = {name: raw for name, raw in chat.extra.items() if bytes(raw) != _NULL}
    body["truncate"] = body["shift"] = False
    for name in _OWN:
        if name in extra:
            body[name] = extra.pop(name)
    options = _build_options(chat, extra)
    window = choose_window(
        prompt_bytes,
        written.pictures,
        chat.max_tokens,
        read_window(options.get("num_ctx")),
        bounds,
    )
    body["options"] = {**options, "num_ctx": window}
    _refuse_what_is_one_answer(chat)
    for name, value in (
        ("logit_bias", chat.logit_bias),
        ("user", chat.user),
        ("service_tier", None if chat.service_tier in ("auto", "default") else chat.service_tier),
    ):
        if value is not None:
            dropped.append(name)
    dropped.extend(sorted(extra))
    return encode(body)


def read_window(raw: Raw | None) -> int | None:
    """
    Return the window that a client has asked for in its `options`, None where it has not.

    Raises:
        InvalidRequest: it is no integer.
    """
    if raw is None or bytes(raw) == _NULL:
        return None
    try:
        return _decode_integer(raw)
    except (ValueError, RecursionError):
        raise InvalidRequest(
            "'options.num_ctx' must be an integer.", param="options.num_ctx"
        ) from None


def read_options_object(raw: Raw | None) -> dict[str, Raw]:
    """
    Return the members of an `options`, {} where there is none.

    Raises:
        InvalidRequest: it is no object.
    """
    if raw is None or bytes(raw) == _NULL:
        return {}
    try:
        return _decode_object(raw)
    except (ValueError, RecursionError):
        raise InvalidRequest(_OPTIONS, param="options") from None


def _build_options(chat: ChatRequest, extra: dict[str, Raw]) -> dict[str, Any]:
    """Return all options; what was said by a name that all clients know goes before the rest."""
    options: dict[str, Any] = {**read_options_object(extra.pop("options", None))}
    for name, own in _OWN_OPTIONS.items():
        if name in extra:
            options[own] = extra.pop(name)
    known = {
        "num_predict": chat.max_tokens,
        "temperature": chat.temperature,
        "top_p": chat.top_p,
        "top_k": chat.top_k,
        "seed": chat.seed,
        "presence_penalty": chat.presence_penalty,
        "frequency_penalty": chat.frequency_penalty,
        "stop": [stop for stop in chat.stop if stop] or None,
    }
    options.update((name, value) for name, value in known.items() if value is not None)
    return options


def _refuse_what_is_one_answer(chat: ChatRequest) -> None:
    if chat.choices > 1:
        raise NotOffered("Ollama gives one answer to a request.", param="n")


def _choose_tools(chat: ChatRequest, dropped: MutableSequence[str]) -> tuple[Tool, ...]:
    """Return the tools that are told of: a choice among them is all that can be kept to here."""
    tools, choice = chat.tools, chat.tool_choice
    if choice is not None and choice.mode == "required":
        raise NotOffered(
            "Ollama cannot be told that one of several tools must be called.", param="tool_choice"
        )
    if choice is not None and choice.mode == "none":
        return ()
    if choice is not None and choice.names:
        tools = tuple(tool for tool in tools if tool.name in choice.names)
    if tools and any(tool.is_strict for tool in tools):
        dropped.append("strict")
    if tools and chat.is_parallel is False:
        dropped.append("parallel_tool_calls")
    return tools


def _tell(messages: list[dict[str, Any]], words: str) -> None:
    """Say something to the model, behind what the client has to say to it."""
    if messages and messages[0]["role"] == "system":
        words = f"{messages[0]['content']}\n\n{words}"
        messages[0] = {**messages[0], "content": words}
    else:
        messages.insert(0, {"role": "system", "content": words})


def _build_tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = _NO_PARAMETERS if tool.parameters is None else tool.parameters
    return {"type": "function", "function": function}


def _find_level(reasoning: Reasoning) -> bool | str:
    # A budget of tokens cannot be told; that it is to think can.
    return True if reasoning.effort is None else _LEVELS[reasoning.effort]
