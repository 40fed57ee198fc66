"""Faults inside well-formed answers: usage that lies, and fields that other clients trip over."""

from collections.abc import Callable
from typing import Any

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import Ask, TextAsk
from proxy.simulator.draft import (
    Draft,
    build_body,
    build_good,
    build_stream,
    encode,
    encode_body,
    encode_chunks,
)
from proxy.simulator.fault_kind import Fault
from proxy.simulator.plan import Step

Play = Callable[[Draft], tuple[Step, ...]]
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def report(count: float) -> Play:
    """Return a fault that reports `count` for every kind of token."""

    def play(draft: Draft) -> tuple[Step, ...]:
        for name in _COUNTS:
            if name in draft.usage:
                draft.usage[name] = count
        draft.sends_usage_chunk = True
        return build_good(draft)

    return play


def report_twice(draft: Draft) -> tuple[Step, ...]:
    """Usage comes twice; the first one is half of the second."""
    half = {name: draft.usage[name] // 2 for name in _COUNTS if name in draft.usage}
    if not draft.streams:
        twice = {draft.format.usage_field: draft.format.build_usage(half)}
        return build_body(draft, encode(twice)[:-1] + b"," + encode_body(draft)[1:])
    usages = [draft.chunk_with(half), draft.usage_chunk]
    frames = encode_chunks(draft, draft.chunks + usages)
    return build_stream(draft, [*frames, draft.format.done])


def report_nothing(draft: Draft) -> tuple[Step, ...]:
    """No usage, even if it was asked for."""
    draft.sends_usage_chunk = False
    draft.hides_usage = True
    draft.body.pop("usage", None)
    for chunk in draft.chunks:
        chunk.pop("usage", None)
    return build_good(draft)


def report_on_finish(draft: Draft) -> tuple[Step, ...]:
    """Usage rides on the chunk with the finish reason, in no chunk of its own."""
    draft.sends_usage_chunk = False
    draft.chunks[-1]["usage"] = draft.usage
    return build_good(draft)


def leave_choice_open(draft: Draft) -> tuple[Step, ...]:
    """All choices but the last one finish."""
    if draft.streams:
        del draft.chunks[-1]
    else:
        draft.body["choices"][-1]["finish_reason"] = None
    return build_good(draft)


def repeat_role(draft: Draft) -> tuple[Step, ...]:
    """Every chunk says the role again."""
    return _change_deltas(draft, lambda delta: {"role": "assistant", **delta})


def write_parts(draft: Draft) -> tuple[Step, ...]:
    """Content is a list of text parts instead of a text."""
    for part in draft.body.get("choices", ()):
        part["message"] = _in_parts(part["message"])
    return _change_deltas(draft, _in_parts)


def forget_tool_index(draft: Draft) -> tuple[Step, ...]:
    """Tool calls in chunks carry no `index`."""
    return _change_deltas(draft, _without_index)


def two_choices(ask: Ask) -> None:
    """Have at least two choices made."""
    if isinstance(ask, TextAsk):
        ask.n = max(ask.choices, 2)


def need_tools(ask: Ask) -> None:
    """Refuse a request that leaves nothing to spoil."""
    if not getattr(ask, "tools", None):
        raise InvalidRequest("This fault spoils a tool call: offer a function in 'tools'.")


def _change_deltas(
    draft: Draft, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> tuple[Step, ...]:
    for chunk in draft.chunks:
        for part in chunk["choices"]:
            part["delta"] = change(part["delta"])
    return build_good(draft)


def _in_parts(message: dict[str, Any]) -> dict[str, Any]:
    text = message.get("content")
    if not text:
        return message
    return {**message, "content": [{"type": "text", "text": text}]}


def _without_index(delta: dict[str, Any]) -> dict[str, Any]:
    calls = delta.get("tool_calls")
    if not calls:
        return delta
    bare = [{name: call[name] for name in call if name != "index"} for call in calls]
    return {**delta, "tool_calls": bare}


_OPENAI = ("openai", "azure")
FIELD_FAULTS = (
    Fault("u33-usage-twice", "U33", "usage comes twice and differs", report_twice),
    Fault("u33-usage-negative", "U33", "usage is below zero", report(-5)),
    Fault("u33-usage-huge", "U33", "usage is 10^18", report(10**18)),
    Fault("u33-usage-float", "U33", "usage is 12.5", report(12.5)),
    Fault("u33-usage-zero", "U33", "usage is 0", report(0)),
    Fault("u34-usage-missing", "U34", "no usage, even if asked for", report_nothing),
    Fault(
        "u35-choice-open",
        "U35",
        "two choices, one of which never finishes",
        leave_choice_open,
        reach="chat",
        adapt=two_choices,
        formats=("openai", "azure", "gemini"),
    ),
    Fault(
        "quirk-repeated-role",
        "-",
        "every chunk repeats the role",
        repeat_role,
        shape="stream",
        reach="chat",
        formats=_OPENAI,
    ),
    Fault(
        "quirk-content-parts",
        "-",
        "content is a list of parts",
        write_parts,
        reach="chat",
        formats=_OPENAI,
    ),
    Fault(
        "quirk-tool-no-index",
        "-",
        "tool calls in chunks have no `index`",
        forget_tool_index,
        shape="stream",
        reach="chat",
        base="sim-tools",
        adapt=need_tools,
        formats=_OPENAI,
    ),
    Fault(
        "quirk-usage-on-finish",
        "-",
        "usage rides on the finish chunk",
        report_on_finish,
        shape="stream",
        formats=_OPENAI,
    ),
)
