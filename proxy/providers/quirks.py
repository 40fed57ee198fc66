"""
What providers of OpenAI's format do differently, made regular on decoded events and answers.

Every rule is harmless where it does not apply, so that one set serves all types that need
any of it. The reasons are what real clients break on (the accumulators of OpenAI's SDKs):
strings of a delta are concatenated, numbers are added, lists need an `index`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from proxy.wire.openai_stream import Repair

_FINISH_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "eos": "stop",
        "end_turn": "stop",
        "stop_sequence": "stop",
        "model_length": "length",
        "max_tokens": "length",
        "abort": "error",
        "insufficient_system_resource": "error",
    }
)
_DELTA_TEXTS = frozenset(("role", "content", "reasoning", "reasoning_content", "refusal"))


class Regular:
    """One answer's repairs; streams need the memory of what has already been sent."""

    def __init__(self) -> None:
        self._roles_sent: set[int] = set()
        self._tools: dict[int, dict[str, int]] = {}

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        """Make one decoded event or answer regular, in place."""
        value.pop("obfuscation", None)
        if value.get("object") in ("chat.completion.done", "chat.completion.chunk.done"):
            value["object"] = "chat.completion.chunk"
        choices = value.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._repair_choice(choice, value)
        return value

    def _repair_choice(self, choice: dict[str, Any], value: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if reason == "":
            choice["finish_reason"] = None
        elif isinstance(reason, str):
            choice["finish_reason"] = _FINISH_REASONS.get(reason, reason)
        if choice.get("error") and not value.get("error"):
            value["error"] = choice["error"]
        delta = choice.get("delta")
        if isinstance(delta, dict):
            choice.pop("message", None)
            index = choice.get("index")
            self._repair_delta(delta, index if isinstance(index, int) else 0, value)
        message = choice.get("message")
        if isinstance(message, dict):
            _repair_text(message)
            for call in message.get("tool_calls") or ():
                _repair_arguments(call)

    def _repair_delta(self, delta: dict[str, Any], index: int, value: dict[str, Any]) -> None:
        for name in [n for n, v in delta.items() if isinstance(v, int | float) and not isinstance(v, bool)]:
            del delta[name]
        for name in ("annotations", "citations", "images", "executed_tools"):
            found = delta.get(name)
            if isinstance(found, list) and any(
                not isinstance(item, dict) or "index" not in item for item in found
            ):
                value[name] = delta.pop(name)
        if delta.get("role") is not None:
            if index in self._roles_sent:
                del delta["role"]
            self._roles_sent.add(index)
        for name in [n for n in _DELTA_TEXTS if delta.get(n, "") is None]:
            # An explicit null is no text; the SDK's accumulator would keep it as one.
            if name != "content":
                del delta[name]
        _repair_text(delta)
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            self._repair_calls(calls, self._tools.setdefault(index, {}))

    def _repair_calls(self, calls: list[Any], known: dict[str, int]) -> None:
        """Give every call a dense `index`, its name and id only once, its arguments as text."""
        for call in calls:
            if not isinstance(call, dict):
                continue
            call_id = call.get("id")
            position = call.get("index")
            key = call_id if isinstance(call_id, str) and call_id else f"#{position}"
            if not isinstance(position, int):
                position = known.setdefault(key, len(set(known.values())))
                call.setdefault("type", "function")
            else:
                position = known.setdefault(f"#{position}", len(set(known.values())))
            call["index"] = position
            _repair_arguments(call)
            function = call.get("function")
            if isinstance(function, dict) and function.get("name") in ("", None):
                function.pop("name", None)


def _repair_text(holder: dict[str, Any]) -> None:
    """Split content given as parts into text and reasoning; give reasoning both its names."""
    content = holder.get("content")
    if isinstance(content, list):
        holder["content"] = _join(content, "text")
        thought = _join(content, "thinking")
        if thought:
            holder["reasoning_content"] = (holder.get("reasoning_content") or "") + thought
            if not holder["content"]:
                holder["content"] = None
    reasoning = holder.get("reasoning")
    thought = holder.get("reasoning_content")
    if isinstance(reasoning, str) and thought is None:
        holder["reasoning_content"] = reasoning
    elif isinstance(thought, str) and reasoning is None:
        holder["reasoning"] = thought


def _join(parts: list[Any], kind: str) -> str:
    texts = []
    for part in parts:
        if isinstance(part, dict) and part.get("type", "text") == kind:
            inner = part.get(kind)
            if isinstance(inner, list):
                texts.append(_join(inner, "text"))
            elif isinstance(inner, str):
                texts.append(inner)
        elif isinstance(part, str) and kind == "text":
            texts.append(part)
    return "".join(texts)


def _repair_arguments(call: Any) -> None:
    function = call.get("function") if isinstance(call, dict) else None
    if isinstance(function, dict):
        arguments = function.get("arguments")
        if isinstance(arguments, dict | list):
            function["arguments"] = msgspec.json.encode(arguments).decode()


class Grok(Regular):
    """xAI counts reasoning beside the completion, not inside it."""

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        """Make one decoded event or answer regular, in place."""
        usage = value.get("usage")
        if isinstance(usage, dict):
            _include_reasoning(usage)
        return super().__call__(value)


def _include_reasoning(usage: dict[str, Any]) -> None:
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    if isinstance(reasoning, int) and all(isinstance(count, int) for count in counts):
        prompt, completion, total = (int(count or 0) for count in counts)
        # Only where the sums say that reasoning stands outside.
        if prompt + completion + reasoning == total:
            usage["completion_tokens"] = completion + reasoning


class Groq(Regular):
    """Groq reports a failure in mid-stream inside `x_groq`, and its usage there too."""

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        """Make one decoded event or answer regular, in place."""
        extra = value.get("x_groq")
        if isinstance(extra, dict):
            if extra.get("error") and not value.get("error"):
                value["error"] = extra["error"]
            if extra.get("usage") and not value.get("usage"):
                value["usage"] = extra["usage"]
        return super().__call__(value)


_REPAIRS: Mapping[str, Callable[[], Repair]] = MappingProxyType(
    {
        "regular": Regular,
        "grok": Grok,
        "groq": Groq,
        "mistral": Regular,
        "openrouter": Regular,
        "perplexity": Regular,
    }
)


def open_repair(quirk: str | None) -> Repair | None:
    """Return fresh repairs for one answer, or None where bytes pass untouched."""
    return None if quirk is None else _REPAIRS[quirk]()
