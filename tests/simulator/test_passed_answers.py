"""What the simulator's models of audio, pictures, judgement and rank answer."""

import base64
import json
from typing import Any

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.simulator.form import Form, FormFile
from proxy.simulator.passed_answers import OPERATIONS, PIXEL, Content, answer_passed

FORM = Form({}, [FormFile("file", "a.wav", 5, b"12345"), FormFile("image", "a.png", 1, b"1")])
GOOD: dict[str, dict[str, Any]] = {
    "audio/speech": {"input": "Say this.", "voice": "alloy"},
    "audio/transcriptions": {},
    "audio/translations": {},
    "images/generations": {"prompt": "A dot"},
    "images/edits": {"prompt": "Redder"},
    "images/variations": {},
    "moderations": {"input": "x", "model": "sim-echo"},
    "rerank": {"query": "a b", "documents": ["c", "b", "a b"]},
}


def _answer(operation: str, **more: Any) -> Content:
    return answer_passed(operation, {**GOOD[operation], **more}, FORM, 7)


def _events(content: Content) -> list[dict[str, Any]]:
    lines = b"".join(content.pieces).decode().split("\n")
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def test_every_operation_has_an_example_here() -> None:
    """None is left out of these tests."""
    assert GOOD.keys() == OPERATIONS


def test_speech_is_silence_of_the_length_of_its_text() -> None:
    """A WAV file says its own size; other formats are bytes of their type."""
    wav = _answer("audio/speech", response_format="wav")
    audio = b"".join(wav.pieces)
    assert wav.content_type == "audio/wav"
    assert audio[:4] + audio[8:12] == b"RIFFWAVE"
    assert int.from_bytes(audio[4:8], "little") == len(audio) - 8
    assert _answer("audio/speech").content_type == "audio/mpeg"
    events = _events(_answer("audio/speech", stream_format="sse"))
    said = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert said == b"".join(_answer("audio/speech").pieces)
    assert events[-1]["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("kind", ["json", "verbose_json", "text", "srt", "vtt"])
def test_a_transcription_says_how_much_was_heard(kind: str) -> None:
    """Size and name of the file stand in it, in each format."""
    content = _answer("audio/transcriptions", response_format=kind)
    assert b"I heard 5 bytes of a.wav." in b"".join(content.pieces)


def test_a_streamed_transcription_is_the_same_in_pieces() -> None:
    """Its deltas make up the text of its last event."""
    events = _events(_answer("audio/transcriptions", stream="true"))
    assert "".join(event["delta"] for event in events[:-1]) == events[-1]["text"]


def test_pictures_are_one_pixel_as_often_as_asked() -> None:
    """`n`, a URL instead of bytes, and parts of a stream are as asked."""
    assert _answer("images/generations", n=3).json["data"] == [{"b64_json": PIXEL}] * 3
    assert "url" in _answer("images/edits", response_format="url").json["data"][0]
    events = _events(_answer("images/edits", stream="true", partial_images="2"))
    assert [event["type"] for event in events] == ["image_edit.partial_image"] * 2 + [
        "image_edit.completed"
    ]


def test_judgement_and_rank_depend_on_words() -> None:
    """One word is bad; documents that share words with the question come first."""
    judged = _answer("moderations", input=["calm", "some violence"]).json["results"]
    assert [result["flagged"] for result in judged] == [False, True]
    ranked = _answer("rerank", top_n=2).json["results"]
    assert [result["index"] for result in ranked] == [2, 1]


@pytest.mark.parametrize(
    ("operation", "changes"),
    [
        ("audio/speech", {"input": ""}),
        ("audio/speech", {"response_format": "mid"}),
        ("audio/transcriptions", {"response_format": "doc"}),
        ("images/generations", {"prompt": None}),
        ("moderations", {"input": 3}),
        ("rerank", {"documents": []}),
    ],
)
def test_what_is_missing_is_a_400(operation: str, changes: dict[str, Any]) -> None:
    """It names the field."""
    with pytest.raises(InvalidRequest) as caught:
        _answer(operation, **changes)
    assert caught.value.param in changes


@pytest.mark.parametrize("operation", ["audio/transcriptions", "images/edits", "images/variations"])
def test_a_form_without_its_file_is_a_400(operation: str) -> None:
    """What is to be heard or seen must be there."""
    with pytest.raises(InvalidRequest):
        answer_passed(operation, GOOD[operation], Form(), 7)
