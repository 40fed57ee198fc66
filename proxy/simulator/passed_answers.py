"""What models of audio, pictures, judgement and rank answer, as OpenAI has it."""

import base64
import struct
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from proxy.domain.errors import InvalidRequest
from proxy.simulator.form import Form
from proxy.simulator.openai_format import encode, encode_frame
from proxy.simulator.tokens import count_tokens, split_tokens

PIXEL: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
    "RU5ErkJggg=="
)
"""A picture of one pixel, in Base64."""
PIECE_BYTES: Final = 16 * 1024
_WAV_RATE: Final = 8000
_BYTES_PER_TOKEN: Final = 1600
"""A fifth of a second."""
_MOST_TOKENS: Final = 10_000
_AUDIO_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "mp3": "audio/mpeg",
        "opus": "audio/ogg",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "wav": "audio/wav",
        "pcm": "audio/pcm",
    }
)
_BAD_WORD: Final = "violence"
_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_TEXT: Final = "text/plain; charset=utf-8"

Fields = Mapping[str, Any]


class Content(Struct):
    """An answer's type and the pieces of its body."""

    content_type: str
    pieces: list[bytes]
    json: dict[str, Any] = {}
    """The same before it was written, if it is JSON."""
    usage: dict[str, Any] = {}


def answer_passed(operation: str, fields: Fields, form: Form | None, created_at: int) -> Content:
    """
    Return the good answer to an operation.

    Args:
        operation: such as `audio/speech`.
        fields: of the JSON or the form.
        form: the form, if it is one.
        created_at: epoch seconds.

    Raises:
        InvalidRequest: something that is needed is missing.
    """
    return _ANSWERS[operation](fields, form, created_at)


def _speak(fields: Fields, form: Form | None, created_at: int) -> Content:
    text = _need_text(fields, "input")
    _need_text(fields, "voice")
    kind = fields.get("response_format") or "mp3"
    if kind not in _AUDIO_TYPES:
        raise InvalidRequest("'response_format' is not one of ours.", param="response_format")
    size_bytes = min(count_tokens(text), _MOST_TOKENS) * _BYTES_PER_TOKEN
    audio = (_build_wav_head(size_bytes) if kind == "wav" else b"") + bytes(size_bytes)
    pieces = [audio[at : at + PIECE_BYTES] for at in range(0, len(audio), PIECE_BYTES)]
    usage = _count(text, size_bytes // _BYTES_PER_TOKEN)
    if fields.get("stream_format") != "sse":
        return Content(_AUDIO_TYPES[kind], pieces, usage=usage)
    events: list[dict[str, Any]] = [
        {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()}
        for piece in pieces
    ]
    events.append({"type": "speech.audio.done", "usage": usage})
    return _build_events(events)


def _transcribe(fields: Fields, form: Form | None, created_at: int) -> Content:
    return _write_down(fields, form, "I heard")


def _translate(fields: Fields, form: Form | None, created_at: int) -> Content:
    return _write_down({**fields, "stream": None}, form, "In English I heard")


def _write_down(fields: Fields, form: Form | None, heard: str) -> Content:
    files = [] if form is None else [file for file in form.files if file.name == "file"]
    if not files:
        raise InvalidRequest("'file' is missing.", param="file")
    text = f"{heard} {files[-1].size_bytes} bytes of {files[-1].file_name}."
    usage = {"type": "tokens", **_count(text, count_tokens(text))}
    if fields.get("stream") == "true":
        events: list[dict[str, Any]] = [
            {"type": "transcript.text.delta", "delta": token} for token in split_tokens(text)
        ]
        events.append({"type": "transcript.text.done", "text": text, "usage": usage})
        return _build_events(events)
    kind = fields.get("response_format") or "json"
    if kind == "json":
        return _build_json({"text": text, "usage": usage})
    if kind == "verbose_json":
        segment = {"id": 0, "start": 0.0, "end": 1.0, "text": text}
        told = {"task": "transcribe", "language": "english", "duration": 1.0}
        return _build_json({**told, "text": text, "segments": [segment]})
    if kind == "srt":
        return Content(_TEXT, [f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n".encode()])
    if kind == "vtt":
        return Content(_TEXT, [f"WEBVTT\n\n00:00.000 --> 00:01.000\n{text}\n\n".encode()])
    if kind == "text":
        return Content(_TEXT, [f"{text}\n".encode()])
    raise InvalidRequest("'response_format' is not one of ours.", param="response_format")


def _paint(fields: Fields, form: Form | None, created_at: int) -> Content:
    return _show(fields, _need_text(fields, "prompt"), "image_generation", created_at)


def _edit(fields: Fields, form: Form | None, created_at: int) -> Content:
    prompt = _need_text(fields, "prompt")
    files = [] if form is None else [file for file in form.files if file.name.startswith("image")]
    if not files and "images" not in fields:
        raise InvalidRequest("'image' is missing.", param="image")
    return _show(fields, prompt, "image_edit", created_at)


def _vary(fields: Fields, form: Form | None, created_at: int) -> Content:
    if form is None or not any(file.name == "image" for file in form.files):
        raise InvalidRequest("'image' is missing.", param="image")
    return _show({**fields, "stream": None}, "", "image_variation", created_at)


def _show(fields: Fields, prompt: str, event: str, created_at: int) -> Content:
    usage = _count(prompt, 16)
    if fields.get("stream") in (True, "true"):
        partial = min(int(fields.get("partial_images") or 0), 3)
        events: list[dict[str, Any]] = [
            {"type": f"{event}.partial_image", "b64_json": PIXEL, "partial_image_index": number}
            for number in range(partial)
        ]
        done = {"type": f"{event}.completed", "b64_json": PIXEL, "created_at": created_at}
        return _build_events([*events, {**done, "usage": usage}])
    choices = min(int(fields.get("n") or 1), 10)
    picture = {"b64_json": PIXEL}
    if fields.get("response_format") == "url":
        picture = {"url": "https://simulator.invalid/pixel.png"}
    return _build_json({"created": created_at, "data": [picture] * choices, "usage": usage})


def _judge(fields: Fields, form: Form | None, created_at: int) -> Content:
    asked = fields.get("input")
    texts = [asked] if isinstance(asked, str) else asked
    if not isinstance(texts, list) or not texts:
        raise InvalidRequest("'input' must be a string or a list.", param="input")
    results = []
    for text in texts:
        is_bad = _BAD_WORD in str(text).lower()
        results.append(
            {
                "flagged": is_bad,
                "categories": {_BAD_WORD: is_bad},
                "category_scores": {_BAD_WORD: 0.9 if is_bad else 0.0},
            }
        )
    return _build_json({"id": "modr-sim", "model": fields["model"], "results": results})


def _rank(fields: Fields, form: Form | None, created_at: int) -> Content:
    words = set(_need_text(fields, "query").lower().split())
    documents = fields.get("documents")
    if not isinstance(documents, list) or not documents:
        raise InvalidRequest("'documents' must be a list.", param="documents")
    scores = [len(words & set(str(each).lower().split())) / (len(words) or 1) for each in documents]
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    results = [{"index": index, "relevance_score": scores[index]} for index in order]
    most = fields.get("top_n")
    units = {"billed_units": {"search_units": 1}}
    return _build_json({"id": "rerank-sim", "results": results[:most], "meta": units})


_ANSWERS: Mapping[str, Callable[[Fields, Form | None, int], Content]] = MappingProxyType(
    {
        "audio/speech": _speak,
        "audio/transcriptions": _transcribe,
        "audio/translations": _translate,
        "images/generations": _paint,
        "images/edits": _edit,
        "images/variations": _vary,
        "moderations": _judge,
        "rerank": _rank,
    }
)
OPERATIONS = frozenset(_ANSWERS)
"""What is answered here."""


def _need_text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"'{name}' must be a string.", param=name)
    return value


def _count(text: str, output_tokens: int) -> dict[str, Any]:
    tokens = count_tokens(text)
    return {
        "input_tokens": tokens,
        "output_tokens": output_tokens,
        "total_tokens": tokens + output_tokens,
    }


def _build_json(value: dict[str, Any]) -> Content:
    return Content(_JSON, [encode(value)], json=value, usage=value.get("usage") or {})


def _build_events(events: list[dict[str, Any]]) -> Content:
    return Content(_EVENTS, [*_frame_all(events), b"data: [DONE]\n\n"])


def _frame_all(events: list[dict[str, Any]]) -> Iterator[bytes]:
    for event in events:
        yield f"event: {event['type']}\n".encode() + encode_frame(event)


def _build_wav_head(size_bytes: int) -> bytes:
    """Return the head of a file of silence: one channel of 8 bits."""
    kind = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, _WAV_RATE, _WAV_RATE, 1, 8)
    start = struct.pack("<4sI4s", b"RIFF", 36 + size_bytes, b"WAVE")
    return start + kind + struct.pack("<4sI", b"data", size_bytes)
