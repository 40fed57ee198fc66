"""Tests of `proxy/wire/responses_open_items.py`."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.chat import Citation
from proxy.domain.events import LogProbs
from proxy.wire.responses_open_items import (
    OpenCall,
    OpenMessage,
    build_cited,
    build_reasoning,
    read_log_probs,
)


def test_a_part_that_is_closed_stands_in_its_message() -> None:
    """And the next one begins empty."""
    message = OpenMessage("msg_1", 0, kind="output_text")
    message.text.write("hi")
    message.annotations.append({"type": "x"})
    message.log_probs.append(Raw(b"{}"))
    part = message.build_part(message.text.getvalue())
    message.end_part(part)
    assert message.build("completed")["content"] == [part]
    assert (part["text"], part["annotations"]) == ("hi", [{"type": "x"}])
    message.kind = "refusal"
    assert message.build_part(message.text.getvalue()) == {"type": "refusal", "refusal": ""}
    assert not message.annotations
    assert not message.log_probs


def test_calls_and_thoughts_have_their_members() -> None:
    """A thought has what its maker wants back once it has ended."""
    call = OpenCall("fc_1", 0, "call_a", "f", b"")
    assert call.build("completed", "{}") == {
        "id": "fc_1",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_a",
        "name": "f",
        "arguments": "{}",
    }
    assert build_reasoning("rs_1", "", None) == {"id": "rs_1", "type": "reasoning", "summary": []}
    assert build_reasoning("rs_1", "So.", "x") == {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "So."}],
        "encrypted_content": "x",
    }


def test_positions_are_those_of_the_part() -> None:
    """A citation's are characters of all of the answer's text."""
    cited = build_cited(Citation("https://a.test", "A", start=12, end=20), 10, 30)
    assert cited == {
        "type": "url_citation",
        "start_index": 2,
        "end_index": 10,
        "title": "A",
        "url": "https://a.test",
    }
    early = build_cited(Citation("https://a.test", start=2, end=4), 10, 30)
    assert early is not None
    assert (early["start_index"], early["end_index"]) == (0, 0)


def test_what_openais_format_has_said_is_kept() -> None:
    """In the flat form of this dialect; without an address there is nothing to lead to."""
    inner = {
        "url": "https://a.test",
        "title": "A",
        "start_index": 0,
        "end_index": 1,
        "content": "x",
    }
    nested = {"type": "url_citation", "url_citation": inner}
    raw = Raw(json.dumps(nested).encode())
    cited = build_cited(
        Citation("https://a.test", "A", start=0, end=1, raw=raw, maker="openai"), 0, 5
    )
    assert cited == {"type": "url_citation", **inner}
    assert build_cited(Citation(quoted="x"), 0, 5) is None
    assert build_cited(Citation(raw=Raw(b"[]"), maker="openai"), 0, 5) is None


def test_what_an_annotation_lacks_is_made_up() -> None:
    """Clients want its title and two numbers: the place that the text has come to."""
    cited = build_cited(Citation("https://a.test", raw=Raw(b'{"x":1}'), maker="openai"), 2, 5)
    assert cited == {
        "type": "url_citation",
        "start_index": 3,
        "end_index": 3,
        "title": "https://a.test",
        "url": "https://a.test",
        "x": 1,
    }


@pytest.mark.parametrize(
    ("said", "is_kept"),
    [
        ({"type": "file_citation", "file_id": "f", "filename": "n", "index": 1}, True),
        ({"type": "file_path", "file_id": "f", "index": 1}, True),
        ({"type": "file_citation", "file_id": "f"}, False),
        ({"type": "unknown"}, False),
        ({"type": ["file_path"]}, False),
    ],
)
def test_what_leads_to_a_file_must_say_which(said: dict[str, Any], is_kept: bool) -> None:
    """And nothing is passed on that clients' types would not take."""
    raw = Raw(json.dumps(said).encode())
    cited = build_cited(Citation(raw=raw, maker="openai"), 0, 5)
    assert cited == (said if is_kept else None)


@pytest.mark.parametrize(
    ("raw", "pieces"),
    [
        (
            b'{"content":[{"token":"a","logprob":-0.50,"bytes":[97],"top_logprobs":[]},'
            b'{\n"token":"b","logprob":0,"bytes":null}]}',
            [
                b'{"token":"a","logprob":-0.50,"bytes":[97],"top_logprobs":[]}',
                b'{"token":"b","logprob":0,"bytes":[],"top_logprobs":[]}',
            ],
        ),
        (b'{"content":[null,{},[],{"token":"a"},{"token":1,"logprob":1}]}', []),
        (b'{"content":null,"refusal":[]}', []),
        (b"[]", []),
    ],
)
def test_log_probabilities_come_token_by_token(raw: bytes, pieces: list[bytes]) -> None:
    """Each on one line, since an event's data is one."""
    assert [bytes(piece) for piece in read_log_probs(LogProbs(Raw(raw)))] == pieces
    assert read_log_probs(None) == []
