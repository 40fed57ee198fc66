"""What a named fault is, and what the fault functions share; the table is in `faults.py`."""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from proxy.simulator.ask import Ask
from proxy.simulator.draft import Draft, build_frames, encode_chunks
from proxy.simulator.knobs import FAULT_PREFIX
from proxy.simulator.plan import Step

Face = Literal["in-process", "http"]
Shape = Literal["any", "stream", "answer"]
Reach = Literal["any", "text", "chat"]


class Fault(Struct, frozen=True):
    """
    One way to misbehave, chosen by name.

    `row` is its number in the catalogue of upstream faults, or "-". `faces` are where it
    can be played, `shape` whether it needs a stream or a whole answer, `reach` which
    operations have what it spoils. `adapt` changes the request before it is answered.
    """

    name: str
    row: str
    does: str
    play: Callable[[Draft], tuple[Step, ...]]
    faces: tuple[Face, ...] = ("in-process", "http")
    shape: Shape = "any"
    reach: Reach = "any"
    base: str = "sim-story"
    adapt: Callable[[Ask], None] | None = None
    formats: tuple[str, ...] = ()
    """The wire formats that have what it spoils; () is all of them."""

    @property
    def model(self) -> str:
        """The model name that chooses it."""
        return FAULT_PREFIX + self.name


def first_frames(draft: Draft) -> list[bytes]:
    """Return the events that go out whole before the fault; never a finish among them."""
    unfinished = draft.opening_chunks + draft.token_chunks
    if not draft.opening_chunks:
        # The finish reason of a legacy completion rides on its last token.
        unfinished = max(draft.token_chunks - draft.choices, 0)
    return build_frames(draft)[: min(draft.knobs.after_events or 0, unfinished)]


def insert_text(draft: Draft, text: object) -> tuple[list[bytes], bytes, list[bytes]]:
    """Return the first events, one that adds `text` to the first choice, and all after it."""
    at = len(first_frames(draft))
    chunks = [*draft.chunks[:at], text_chunk(draft, text), *draft.chunks[at:]]
    frames = encode_chunks(draft, chunks)
    rest = build_frames(draft)[len(draft.chunks) :]
    return frames[:at], frames[at], [*frames[at + 1 :], *rest]


def text_chunk(draft: Draft, text: object) -> dict[str, Any]:
    """Return a chunk that adds `text` to the first choice."""
    chunk = draft.chunks[draft.opening_chunks]
    part = {**chunk["choices"][0], "finish_reason": None}
    if "delta" in part:
        part["delta"] = {"content": text}
    else:
        part["text"] = text
    return {**chunk, "choices": [part]}


def set_text(draft: Draft, text: object) -> dict[str, Any]:
    """Return the body with `text` as the answer of its first choice."""
    part, *others = draft.body["choices"]
    if "message" in part:
        part = {**part, "message": {**part["message"], "content": text}}
    else:
        part = {**part, "text": text}
    return {**draft.body, "choices": [part, *others]}
