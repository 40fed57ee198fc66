"""What the promises about documents read of them: code blocks, words in code, tables, links."""

import re
from collections.abc import Iterator

from msgspec import Struct

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.DOTALL | re.MULTILINE
)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


class Block(Struct, frozen=True):
    """One fenced block: its language, its text without the fence's indent, what led to it."""

    language: str
    text: str
    before: str


def read_blocks(text: str, language: str | None = None) -> list[Block]:
    """Return the fenced blocks of a document, all or those of one language."""
    blocks = []
    for found in _FENCE.finditer(text):
        indent = found["indent"]
        lines = [line.removeprefix(indent) for line in found["text"].splitlines(keepends=True)]
        blocks.append(Block(found["language"], "".join(lines), text[: found.start()]))
    return [block for block in blocks if language in (None, block.language)]


def read_prose(text: str) -> str:
    """Return a document without its fenced blocks."""
    return _FENCE.sub("", text)


def read_code_words(text: str) -> set[str]:
    """Return everything that stands in single backquotes."""
    return set(_CODE.findall(read_prose(text)))


def read_links(text: str) -> list[str]:
    """Return the targets of all links, as they are written."""
    return _LINK.findall(_CODE.sub("", read_prose(text)))


def read_anchors(text: str) -> set[str]:
    """Return the names under which a page's headings can be linked to."""
    return {
        _NOT_IN_ANCHOR.sub("", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(read_prose(text))
    }


def read_first_cells(text: str) -> Iterator[str]:
    """Yield the first cell of every row of every table, without its rulers."""
    for line in read_prose(text).splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield line.split("|")[1].strip()


def read_sections(text: str) -> dict[str, str]:
    """Return the text below each heading of the second level."""
    sections = {}
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        sections[title.strip()] = body
    return sections
