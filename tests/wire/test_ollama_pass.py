"""Ollama's clients at Ollama: bytes as they came, with a window where the client set none."""

import json
from typing import Any

import pytest

from proxy.domain.errors import InvalidRequest, UpstreamProtocolError, UpstreamTruncated
from proxy.domain.exchange import Operation
from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.context_window import WindowBounds
from proxy.wire.ollama_events import OllamaEvents
from proxy.wire.ollama_pass import PassedLines, build_passed_body, read_passed_answer
from proxy.wire.ollama_request import parse_ask
from proxy.wire.translated_stream import TranslatedStream
from tests.wire.splits import every_cut, read_all

BOUNDS = WindowBounds(8192, 131_072)
END = b'{"message":{"content":""},"done":true,"done_reason":"stop","eval_count":2,"x":1.50}\n'
LINES = b'{"model":"q","message":{"content":"H\xc3\xa9"},"done":false,"new":{}}\n' + END


def ask_for(operation: Operation = "ollama_chat", **fields: Any) -> Ask:
    return parse_ask(operation, json.dumps({"model": "m", **fields}).encode())


def window(ask: Ask) -> int:
    body = json.loads(build_passed_body(ask, "q", BOUNDS))
    assert body["model"] == "q"
    size: int = body["options"]["num_ctx"]
    return size


def test_a_request_passes_with_its_options_and_a_window() -> None:
    """All else is byte by byte what came, unknown fields too."""
    body = b'{"model":"m","messages":[{"role":"user"}],"options":{"seed": 1.0},"new":  [1 ]}'
    passed = build_passed_body(parse_ask("ollama_chat", body), "q", BOUNDS)
    assert passed == (
        b'{"model":"q","messages":[{"role":"user"}],"options":{"seed":1.0,"num_ctx":8192},'
        b'"new":[1 ],"truncate":false,"shift":false}'
    )


def test_a_window_of_ours_loses_nothing_in_silence() -> None:
    """What does not fit into a window that was set or lowered here is refused, if it may be."""

    def cuts(**fields: Any) -> list[Any]:
        body = json.loads(build_passed_body(ask_for(**fields), "q", BOUNDS))
        return [body.get("truncate"), body.get("shift")]

    assert cuts() == cuts(truncate=None) == cuts(options={"num_ctx": 999_999}) == [False, False]
    assert cuts(truncate=True, options={"num_ctx": 999_999}) == [True, False]
    assert cuts(shift=True) == [False, True]
    assert cuts(options={"num_ctx": 512}) == [None, None]


def test_a_window_of_the_clients_own_is_kept_up_to_the_bound() -> None:
    """The operator's memory goes before the client's wish."""
    assert window(ask_for(options={"num_ctx": 512})) == 512
    assert window(ask_for(options={"num_ctx": 999_999})) == 131_072
    with pytest.raises(InvalidRequest) as raised:
        window(ask_for(options={"num_ctx": "big"}))
    assert raised.value.param == "options.num_ctx"


def test_the_window_holds_the_prompt_and_its_pictures() -> None:
    """Pictures count as such, and not by their bytes."""
    text = {"role": "user", "content": "x" * 60_000}
    assert window(ask_for(messages=[text])) == 32_768
    assert window(ask_for("ollama_generate", prompt="x" * 60_000)) == 32_768
    assert window(ask_for(messages=[{"role": "user"}], options={"num_predict": 9000})) == 16_384
    picture = "iVBOR" + "A" * 1_000_000
    shown = {"role": "user", "content": "see", "images": [picture, picture, picture]}
    assert window(ask_for(messages=[shown])) == 16_384
    assert window(ask_for("ollama_generate", prompt="x", images=[picture])) == 8192


def test_lines_pass_however_they_are_cut() -> None:
    """The client gets the provider's bytes; what is read of them is only the check."""
    for pieces in every_cut(LINES):
        ask = ask_for(messages=[{"role": "user"}])
        reader = OllamaEvents(ask, 1 << 20, keeps_lines=True)
        stream = TranslatedStream(ask, reader, PassedLines(reader))
        assert read_all(stream, pieces) == LINES
        assert stream.error is None
        assert stream.usage == Usage(5, 2, source="estimated")


def test_a_stream_that_breaks_off_is_no_success() -> None:
    """What was whole has been passed on, and the error is ours."""
    ask = ask_for(messages=[{"role": "user"}])
    reader = OllamaEvents(ask, 1 << 20, keeps_lines=True)
    stream = TranslatedStream(ask, reader, PassedLines(reader))
    assert read_all(stream, [LINES[: -len(END)]]) == LINES[: -len(END)]
    assert isinstance(stream.error, UpstreamTruncated)


def test_a_whole_answer_passes() -> None:
    """Checked, and with the counts that it tells; one that is not done is none."""
    ask = ask_for(messages=[{"role": "user"}], stream=False)
    assert read_passed_answer(ask, END.strip()).body == END
    without = b'{"response":"Hi","done":true,"done_reason":"stop"}'
    assert read_passed_answer(ask, without).usage.source == "estimated"
    with pytest.raises(UpstreamTruncated):
        read_passed_answer(ask, b'{"message":{"content":"Hi"}}')
    with pytest.raises(UpstreamProtocolError):
        read_passed_answer(ask, LINES)
    assert read_passed_answer(ask_for(), LINES).body == LINES
