"""Output items of a response while they are open, and the shapes that they and their parts have."""

from io import StringIO
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, field

from proxy.domain.chat import Citation, Maker
from proxy.domain.events import LogProbs
from proxy.wire.json_text import build_object

Json = dict[str, object]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
PartKind = Literal["output_text", "refusal"]

_OTHER_ANNOTATIONS = {
    "file_citation": {"file_id", "filename", "index"},
    "container_file_citation": {
        *("container_id", "file_id", "filename", "start_index", "end_index"),
    },
    "file_path": {"file_id", "index"},
}
"""What leads to a file, with the members that clients' types want of it."""
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
"""Between JSON's values a line end is only a blank; in an event it would end the line."""


class _LogProbs(Struct):
    content: list[Raw] | None = None


_NUMBER_STARTS = tuple(b"%c" % digit for digit in b"-0123456789")
_NO_ITEMS = Raw(b"[]")
_decode_any = msgspec.json.Decoder().decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_log_probs = msgspec.json.Decoder(_LogProbs).decode


class OpenMessage(Struct):
    """A message, and the part of it that is being said."""

    id: str
    index: int
    content: list[Json] = field(default_factory=list)
    """The parts that are closed."""
    kind: PartKind | None = None
    """Of the open part; None: no part is open."""
    place: bytes = b""
    """Where the open part stands: members of its events."""
    start: int = 0
    """How many characters of the answer's text stand before the open part."""
    text: StringIO = field(default_factory=StringIO)
    annotations: list[Json] = field(default_factory=list)
    log_probs: list[Raw] = field(default_factory=list)

    def build(self, status: ItemStatus) -> Json:
        """Return the item with the parts that are closed."""
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": list(self.content),
        }

    def build_part(self, text: str) -> Json:
        """Return the open part with that text."""
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {
            "type": "output_text",
            "text": text,
            "annotations": list(self.annotations),
            "logprobs": list(self.log_probs),
        }

    def end_part(self, part: Json) -> None:
        """Close the open part, which has become this."""
        self.content.append(part)
        self.kind = None
        self.text = StringIO()
        self.annotations.clear()
        self.log_probs.clear()


class OpenThought(Struct):
    """A thought that has not ended."""

    id: str
    index: int
    maker: Maker
    place: bytes
    """Where its summary stands: members of its events."""
    text: StringIO = field(default_factory=StringIO)


class OpenCall(Struct):
    """A call that has not ended."""

    id: str
    index: int
    call_id: str
    name: str
    place: bytes
    """Members of its events."""
    arguments: StringIO = field(default_factory=StringIO)

    def build(self, status: ItemStatus, arguments: str) -> Json:
        """Return the item with these arguments."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": status,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": arguments,
        }


def build_reasoning(item_id: str, summary: str, encrypted: str | None) -> Json:
    """
    Return a thought's item.

    Args:
        item_id: its own.
        summary: what is shown of it, "" for nothing.
        encrypted: what its maker wants back, None as long as it has not ended.
    """
    item: Json = {
        "id": item_id,
        "type": "reasoning",
        "summary": [build_summary(summary)] if summary else [],
    }
    if encrypted is not None:
        item["encrypted_content"] = encrypted
    return item


def build_summary(text: str) -> Json:
    """Return a part of a summary."""
    return {"type": "summary_text", "text": text}


def read_log_probs(event: LogProbs | None) -> list[Raw]:
    """
    Return the log probabilities of a text token by token, each on one line.

    What is no token with a probability is left out; `bytes` and `top_logprobs`, which may be
    missing in a chat, are lists here.
    """
    if event is None:
        return []
    try:
        content = _decode_log_probs(event.raw).content or []
    except (ValueError, RecursionError):
        return []
    return [built for piece in content if (built := _build_token(piece)) is not None]


def _build_token(piece: Raw) -> Raw | None:
    try:
        fields = _decode_fields(bytes(piece).translate(_ONE_LINE))
    except (ValueError, RecursionError):
        return None
    if not bytes(fields.get("token", b"")).startswith(b'"'):
        return None
    if not bytes(fields.get("logprob", b"")).startswith(_NUMBER_STARTS):
        return None
    for name in ("bytes", "top_logprobs"):
        if not bytes(fields.get(name, b"")).startswith(b"["):
            fields[name] = _NO_ITEMS
    return Raw(build_object(fields))


def build_cited(citation: Citation, start: int, place: int) -> Json | None:
    """
    Return an annotation of a part, None where there is nothing that it could lead to.

    It is flat in this dialect, with all members that clients' types want, and its positions are
    those of its part.

    Args:
        citation: positions of which are the whole answer's.
        start: how many characters of the answer's text stand before the part.
        place: how many there are by now: where words are marked whose place nobody has said.
    """
    said = _read_own(citation)
    if citation.url is None:
        wanted = _OTHER_ANNOTATIONS.get(str(said.get("type")))
        return said if wanted is not None and wanted <= said.keys() else None
    begin = place if citation.start is None else citation.start
    end = max(begin, place) if citation.end is None else citation.end
    return {
        # What OpenRouter and others say besides.
        **said,
        "type": "url_citation",
        "start_index": max(0, begin - start),
        "end_index": max(0, end - start),
        "title": citation.title or citation.url,
        "url": citation.url,
    }


def _read_own(citation: Citation) -> Json:
    """Return what a provider of OpenAI's format has said of it, flat."""
    if citation.raw is None or citation.maker != "openai":
        return {}
    value: Any = _decode_any(citation.raw)
    if not isinstance(value, dict):
        return {}
    inner = value.pop("url_citation", None)
    return {**value, **inner} if isinstance(inner, dict) else value
