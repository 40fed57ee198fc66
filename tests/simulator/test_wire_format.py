"""What all wire formats have in common."""

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.simulator.anthropic_format import ANTHROPIC
from proxy.simulator.azure_format import AZURE
from proxy.simulator.gemini_format import GEMINI
from proxy.simulator.openai_format import OPENAI
from proxy.simulator.responses_format import RESPONSES
from proxy.simulator.wire_format import WireFormat, Words, describe_error

FORMATS: list[WireFormat] = [OPENAI, ANTHROPIC, GEMINI, AZURE, RESPONSES]
CHUNK = {
    "id": "chatcmpl-1",
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}],
}
USAGE = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}


def test_an_error_is_described_by_its_public_words() -> None:
    """Message, type, field and code of an error are what a client is told."""
    words = describe_error(InvalidRequest("no", param="n"))
    assert (words.message, words.type, words.param) == ("no", "invalid_request_error", "n")


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_every_format_writes_whole_events(format_: WireFormat) -> None:
    """A chunk, an error and the end are whole events; there are as many items as chunks."""
    frames = format_.encode_chunks([CHUNK, CHUNK], USAGE)
    assert len(frames) == 2
    for frame in (*frames, format_.frame_error(Words("no", "api_error")), format_.broken_frame):
        assert frame.endswith(b"\n\n")
    assert not format_.done or format_.done.endswith(b"\n\n")


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_every_format_has_an_error_of_its_own(format_: WireFormat) -> None:
    """An error is JSON with the words in it, under the status that was asked for."""
    status, headers, body = format_.build_error(503, Words("it is busy", "api_error"))
    assert status == 503
    assert dict(headers)["content-type"] == "application/json"
    assert b"it is busy" in body
