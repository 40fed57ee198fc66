"""The messages of a chat request -> Anthropic's system prompt and its turns."""

from collections.abc import Sequence

from msgspec import Struct

from proxy.domain.chat import Message, Result, Text
from proxy.domain.errors import NotOffered
from proxy.wire.anthropic_blocks import Json, build_blocks

_THOUGHTS = ("thinking", "redacted_thinking")
_STUB = {"type": "text", "text": "."}
"""What the user has said where a conversation begins without them: something has to be."""


class Turns(Struct):
    """The two fields that messages become."""

    system: list[Json]
    messages: list[Json]


class _Turn(Struct):
    role: str
    results: list[Json] = []
    """They go before all else of a turn."""
    blocks: list[Json] = []


def build_turns(messages: Sequence[Message]) -> Turns:
    """
    Return the system prompt and the turns of a conversation.

    Messages of one side in a row become one turn, in which the results of calls come first. A
    system message in the middle is the user's, in a tag: not every model has a role for it.

    Raises:
        NotOffered: a part that Anthropic does not read; `param` is messages.

    Source: wire-formats §3.1; tests/wire/test_anthropic_turns.py.
    """
    leading = 0
    while leading < len(messages) and messages[leading].role == "system":
        leading += 1
    system: list[Json] = []
    for message in messages[:leading]:
        system += build_blocks(_read_texts(message))
    turns: list[_Turn] = []
    for message in messages[leading:]:
        _add(turns, message)
    turns = _drop_loose_thoughts(turns)
    if not turns or turns[0].role != "user":
        turns.insert(0, _Turn("user", blocks=[_STUB]))
    _trim_last(turns[-1])
    return Turns(
        system, [{"role": turn.role, "content": turn.results + turn.blocks} for turn in turns]
    )


def _add(turns: list[_Turn], message: Message) -> None:
    role = "assistant" if message.role == "assistant" else "user"
    if message.role == "system":
        text = "\n".join(part.text for part in _read_texts(message))
        found = build_blocks((Text(f"<system>\n{text}\n</system>"),)) if text.strip() else []
        results: list[Json] = []
    else:
        results = build_blocks(tuple(p for p in message.parts if isinstance(p, Result)))
        found = build_blocks(tuple(p for p in message.parts if not isinstance(p, Result)))
    if not results and not found:
        return
    if not turns or turns[-1].role != role:
        turns.append(_Turn(role))
    turns[-1].results += results
    turns[-1].blocks += found


def _read_texts(message: Message) -> tuple[Text, ...]:
    texts = tuple(part for part in message.parts if isinstance(part, Text))
    if len(texts) < len(message.parts):
        raise NotOffered("This provider's system prompt is text.", param="messages")
    return texts


def _drop_loose_thoughts(turns: Sequence[_Turn]) -> list[_Turn]:
    """Return the turns without thoughts that nothing follows: no answer may end with one."""
    kept: list[_Turn] = []
    for turn in turns:
        while turn.role == "assistant" and turn.blocks and turn.blocks[-1]["type"] in _THOUGHTS:
            turn.blocks.pop()
        if not turn.results and not turn.blocks:
            continue
        if kept and kept[-1].role == turn.role:
            kept[-1].results += turn.results
            kept[-1].blocks += turn.blocks
        else:
            kept.append(turn)
    return kept


def _trim_last(turn: _Turn) -> None:
    """Take the blanks off the end of an answer that is to be gone on with: they are refused."""
    last = turn.blocks[-1] if turn.role == "assistant" and turn.blocks else None
    if last is not None and last["type"] == "text":
        last["text"] = last["text"].rstrip()
