"""
What providers of OpenAI's format do differently, made regular on decoded events and answers.

Every rule is harmless where it does not apply, so that one set serves all types that need
any of it. The reasons are what real clients break on (the accumulators of OpenAI's SDKs):
strings of a delta are concatenated, numbers are added, lists need an `index`. Nothing here
raises, whatever a provider sends: what is not of the expected shape is left as it is.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from proxy.providers.source_markers import MarkerReader, build_annotations
from proxy.providers.think_tags import Split, ThinkSplitter, split_whole
from proxy.providers.tool_calls import ToolCalls, repair_whole_calls
from proxy.wire.openai_stream import Repair

_OPENAI_REASONS = frozenset(("stop", "length", "tool_calls", "content_filter", "function_call"))
_FINISH_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "eos": "stop",
        "end_turn": "stop",
        "stop_sequence": "stop",
        "model_length": "length",
        "max_tokens": "length",
        "max_output_tokens": "length",
        "tool_use": "tool_calls",
        "abort": "error",
        "insufficient_system_resource": "error",
        "error": "error",
    }
)
_TEXTS = ("reasoning", "reasoning_content", "refusal")
_HEAD = ("id", "created", "model")
_CHUNKS = (
    *("chat.completion.done", "chat.completion.chunk.done"),
    *("chat.reasoning", "chat.reasoning.done"),
)
"""Other names that Perplexity has for a chunk."""


class Regular:
    """One answer's repairs; streams need the memory of what has already been sent."""

    splits_think_tags = False

    def __init__(self) -> None:
        self._roles_sent: set[int] = set()
        self._tools: dict[int, ToolCalls] = {}
        self._list_lengths: dict[tuple[int, str], int] = {}
        self._splitters: dict[int, ThinkSplitter] = {}
        self._head: dict[str, Any] = {}

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        """Make one decoded event or answer regular, in place."""
        value.pop("obfuscation", None)
        choices = value.get("choices")
        if value.get("object") in _CHUNKS:
            value["object"] = "chat.completion.chunk"
        if value.get("object") == "chat.completion.chunk" and not isinstance(choices, list):
            value["choices"] = []
        if isinstance(choices, list):
            for position, choice in enumerate(choices):
                if isinstance(choice, dict):
                    self._repair_choice(choice, position, value)
        return value

    def finish(self) -> dict[str, Any] | None:
        """Return a last event with text that waited for a tag, None if none did."""
        choices = []
        for index, splitter in self._splitters.items():
            delta: dict[str, Any] = {}
            _add_split(delta, splitter.finish())
            if delta:
                choices.append({"index": index, "delta": delta, "finish_reason": None})
        if not choices:
            return None
        return {**self._head, "object": "chat.completion.chunk", "choices": choices}

    def _repair_choice(self, choice: dict[str, Any], position: int, value: dict[str, Any]) -> None:
        index = choice.get("index")
        if not isinstance(index, int) or isinstance(index, bool):
            index = choice["index"] = position
        if choice.get("error") and not value.get("error"):
            value["error"] = choice["error"]
        native = choice.get("finish_reason")
        reason = choice["finish_reason"] = _regular_reason(native)
        if reason != native and isinstance(native, str) and native:
            choice.setdefault("native_finish_reason", native)
        message = choice.get("message")
        if value.get("object") == "chat.completion.chunk" or "delta" in choice:
            # Perplexity repeats the whole message beside each delta.
            choice.pop("message", None)
            if not isinstance(choice.get("delta"), dict):
                choice["delta"] = {}
            self._repair_delta(choice["delta"], index, value, is_last=reason is not None)
            if reason == "stop" and index in self._tools:
                choice["finish_reason"] = "tool_calls"
        elif isinstance(message, dict):
            self._repair_message(message, str(value.get("id", "")), index)
            if reason == "stop" and message.get("tool_calls"):
                choice["finish_reason"] = "tool_calls"

    def _repair_message(self, message: dict[str, Any], answer_id: str, index: int) -> None:
        _join_parts(message)
        content = message.get("content")
        if self.splits_think_tags and isinstance(content, str):
            del message["content"]
            _add_split(message, split_whole(content))
            message.setdefault("content", "")
        _name_reasoning_twice(message)
        repair_whole_calls(message.get("tool_calls"), f"{answer_id}:{index}")

    def _repair_delta(
        self, delta: dict[str, Any], index: int, value: dict[str, Any], is_last: bool
    ) -> None:
        for name, found in list(delta.items()):
            if isinstance(found, int | float) or (found is None and name in _TEXTS):
                # Numbers would be added up; an explicit null is no text.
                del delta[name]
        if delta.get("role") is not None:
            if index in self._roles_sent:
                del delta["role"]
            self._roles_sent.add(index)
        _join_parts(delta)
        if self.splits_think_tags:
            self._split_think_tags(delta, index, value, is_last)
        _name_reasoning_twice(delta)
        for name, found in delta.items():
            if isinstance(found, list) and name != "tool_calls":
                self._index_items(found, (index, name))
        calls = delta.get("tool_calls")
        if not calls:
            delta.pop("tool_calls", None)
        elif isinstance(calls, list):
            tools = self._tools.get(index)
            if tools is None:
                tools = self._tools[index] = ToolCalls(f"{value.get('id', '')}:{index}")
            tools.repair(calls)

    def _split_think_tags(
        self, delta: dict[str, Any], index: int, value: dict[str, Any], is_last: bool
    ) -> None:
        content = delta.get("content")
        splitter = self._splitters.get(index)
        if splitter is None:
            if not isinstance(content, str):
                return
            splitter = self._splitters[index] = ThinkSplitter()
        if isinstance(content, str):
            self._head = {name: value[name] for name in _HEAD if name in value}
            delta["content"] = ""
            _add_split(delta, splitter.feed(content))
        if is_last:
            _add_split(delta, splitter.finish())

    def _index_items(self, items: list[Any], place: tuple[int, str]) -> None:
        """Number a list's objects on and on over the stream: each is a new one."""
        for item in items:
            if isinstance(item, dict):
                given = item.get("index")
                position = self._list_lengths.get(place, 0)
                if not isinstance(given, int):
                    item["index"] = given = position
                self._list_lengths[place] = max(position, given + 1)


class Tagged(Regular):
    """Reasoning between `<think>` tags in the text, where a server leaves it there."""

    splits_think_tags = True


class Perplexity(Tagged):
    """Perplexity names its sources beside the choices, and refers to them by number in the text."""

    def __init__(self) -> None:
        super().__init__()
        self._markers: dict[int, MarkerReader] = {}
        self._cited: set[int] = set()
        """Choices that have annotations of their own, or have got ours."""
        self._citations: object = None
        self._results: object = None

    def _repair_choice(self, choice: dict[str, Any], position: int, value: dict[str, Any]) -> None:
        super()._repair_choice(choice, position, value)
        self._citations = value.get("citations") or self._citations
        self._results = value.get("search_results") or self._results
        index, delta, message = choice["index"], choice.get("delta"), choice.get("message")
        if isinstance(delta, dict):
            found = self._cite(delta, index, is_last=choice["finish_reason"] is not None)
            self._index_items(found, (index, "annotations"))
        elif isinstance(message, dict):
            self._cite(message, index, is_last=True)

    def _cite(self, said: dict[str, Any], index: int, *, is_last: bool) -> list[Any]:
        """Note the markers of a text; at its end add annotations for them, and return these."""
        reader = self._markers.get(index)
        if reader is None:
            reader = self._markers[index] = MarkerReader()
        if isinstance(said.get("content"), str):
            reader.feed(said["content"])
        if said.get("annotations"):
            self._cited.add(index)
        if not is_last or index in self._cited:
            return []
        self._cited.add(index)
        found = build_annotations(reader.markers, self._citations, self._results)
        if found:
            said["annotations"] = found
        return found


class Grok(Regular):
    """xAI counts reasoning beside the completion, not inside it."""

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        """Make one decoded event or answer regular, in place."""
        usage = value.get("usage")
        if isinstance(usage, dict):
            _include_reasoning(usage)
        return super().__call__(value)


class Groq(Regular):
    """Groq reports a failure in mid-stream inside `x_groq`, and its usage there too."""

    def __call__(self, value: dict[str, Any]) -> dict[str, Any]:
        """Make one decoded event or answer regular, in place."""
        extra = value.get("x_groq")
        if isinstance(extra, dict):
            for name in ("error", "usage"):
                if extra.get(name) and not value.get(name):
                    value[name] = extra[name]
        return super().__call__(value)


def _regular_reason(reason: object) -> str | None:
    """Return one of OpenAI's finish reasons (strict clients know no other), or "error"."""
    if not isinstance(reason, str) or not reason:
        return None
    lowered = reason.lower()
    return lowered if lowered in _OPENAI_REASONS else _FINISH_REASONS.get(lowered, "stop")


def _join_parts(holder: dict[str, Any]) -> None:
    """Write content that came as a list of parts as the text and the reasoning in it."""
    content = holder.get("content")
    if not isinstance(content, list):
        return
    text, thought = _join(content, "text"), _join(content, "thinking")
    # A delta of reasoning alone holds no text; a message always names its content.
    holder["content"] = text or None if thought else text
    if thought:
        _append(holder, "reasoning_content", thought)


def _join(parts: list[Any], kind: str) -> str:
    texts: list[str] = []
    for part in parts:
        if isinstance(part, dict) and part.get("type", "text") == kind:
            inner = part.get(kind)
            if isinstance(inner, list):
                texts.extend(_inner_text(item) for item in inner)
            elif isinstance(inner, str):
                texts.append(inner)
        elif isinstance(part, str) and kind == "text":
            texts.append(part)
    return "".join(texts)


def _inner_text(item: object) -> str:
    text = item.get("text") if isinstance(item, dict) else item
    return text if isinstance(text, str) else ""


def _add_split(holder: dict[str, Any], split: Split) -> None:
    if split.text:
        _append(holder, "content", split.text)
    if split.reasoning:
        _append(holder, "reasoning_content", split.reasoning)


def _append(holder: dict[str, Any], name: str, text: str) -> None:
    before = holder.get(name)
    holder[name] = (before if isinstance(before, str) else "") + text


def _name_reasoning_twice(holder: dict[str, Any]) -> None:
    """Give reasoning both the names that clients look for."""
    reasoning, thought = holder.get("reasoning"), holder.get("reasoning_content")
    if isinstance(reasoning, str) and not thought:
        holder["reasoning_content"] = reasoning
    elif isinstance(thought, str) and not reasoning:
        holder["reasoning"] = thought


def _include_reasoning(usage: dict[str, Any]) -> None:
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    prompt, completion, total = (
        usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if (
        isinstance(reasoning, int)
        and isinstance(prompt, int)
        and isinstance(completion, int)
        # Only where the sums say that reasoning stands outside.
        and prompt + completion + reasoning == total
    ):
        usage["completion_tokens"] = completion + reasoning


_REPAIRS: Mapping[str, Callable[[], Repair]] = MappingProxyType(
    {
        "regular": Regular,
        "tagged": Tagged,
        "perplexity": Perplexity,
        "grok": Grok,
        "groq": Groq,
    }
)


def open_repair(quirk: str | None) -> Repair | None:
    """Return fresh repairs for one answer, or None where bytes pass untouched."""
    return None if quirk is None else _REPAIRS[quirk]()


def has_repair(quirk: str) -> bool:
    """Return whether there are repairs of that name."""
    return quirk in _REPAIRS
