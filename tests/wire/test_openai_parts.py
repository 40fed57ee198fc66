"""Tests of `proxy/wire/openai_parts.py`."""

import pytest
from msgspec import Raw

from proxy.domain.chat import Citation
from proxy.wire.base import Ask
from proxy.wire.openai_parts import (
    build_annotation,
    build_call,
    build_thinking_block,
    wants_function_call,
)


def test_a_call_has_geminis_signature_where_gemini_has_it() -> None:
    """A call with a signature carries it in `extra_content`; one without has no such member."""
    call = build_call("c", "f", "{}", "sig")
    assert call.pop("extra_content") == {"google": {"thought_signature": "sig"}}
    assert call == build_call("c", "f", "{}", None)
    assert call == {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_a_block_names_the_maker_of_a_foreign_signature() -> None:
    """Anthropic's signature stands as it is, any other behind a mark that says whose it is."""
    own = build_thinking_block("t", "anthropic", "sig", is_redacted=False)
    assert own == {"type": "thinking", "thinking": "t", "signature": "sig"}
    foreign = build_thinking_block("t", "gemini", "sig", is_redacted=False)
    assert foreign["signature"] == "lp1.gemini.sig"
    assert "signature" not in build_thinking_block("t", "anthropic", None, is_redacted=False)


def test_a_redacted_block_is_its_data() -> None:
    """A thought that nobody may read has no text member at all."""
    block = build_thinking_block("", "anthropic", "hidden", is_redacted=True)
    assert block == {"type": "redacted_thinking", "data": "hidden"}


@pytest.mark.parametrize(
    ("citation", "place", "start", "end", "title"),
    [
        (Citation(url="https://a", title="T", start=1, end=3), 9, 1, 3, "T"),
        (Citation(url="https://a"), 9, 9, 9, "https://a"),
        (Citation(url="https://a", start=4), 9, 4, 9, "https://a"),
        (Citation(url="https://a", start=12), 9, 12, 12, "https://a"),
    ],
)
def test_an_annotation_always_has_its_numbers(
    citation: Citation, place: int, start: int, end: int, title: str
) -> None:
    """Positions that nobody has said become the place at which the source was named."""
    assert build_annotation(citation, place) == {
        "type": "url_citation",
        "url_citation": {
            "start_index": start,
            "end_index": end,
            "title": title,
            "url": "https://a",
        },
    }


def test_openais_own_annotation_is_kept() -> None:
    """What a provider of the format wrote is given back; another dialect's JSON is not."""
    raw = Raw(b'{"type":"file_citation","x":1}')
    kept = build_annotation(Citation(raw=raw, maker="openai"), 0)
    assert kept == {"type": "file_citation", "x": 1}
    assert build_annotation(Citation(raw=raw, maker="anthropic"), 0) is None


def test_a_source_without_an_address_is_left_out() -> None:
    """A passage of a document in the prompt has no place in OpenAI's format."""
    assert build_annotation(Citation(title="Document", quoted="words"), 3) is None


@pytest.mark.parametrize(
    ("fields", "is_old"),
    [
        ({}, False),
        ({"functions": b'[{"name":"f"}]'}, True),
        ({"functions": b'[{"name":"f"}]', "tools": b"null"}, True),
        ({"functions": b'[{"name":"f"}]', "tools": b'[{"type":"function"}]'}, False),
        ({"functions": b"null"}, False),
        ({"functions": b"[]"}, False),
    ],
)
def test_functions_are_a_clients_form_where_it_has_no_tools(
    fields: dict[str, bytes], is_old: bool
) -> None:
    """Whoever offers tools as well knows the newer form."""
    raw = {name: Raw(value) for name, value in fields.items()}
    assert wants_function_call(Ask("chat", "m", raw)) == is_old
