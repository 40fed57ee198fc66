"""OpenAI's own format."""

import json

from proxy.simulator.openai_format import OPENAI, encode_error, encode_frame
from proxy.simulator.wire_format import Words


def test_chunks_stay_what_they_are() -> None:
    """Each chunk is one event, and its usage is nobody's business."""
    assert OPENAI.encode_chunks([{"a": 1}], None) == [encode_frame({"a": 1})]
    assert OPENAI.encode_body({"a": 1}) == b'{"a":1}'


def test_errors_have_all_four_fields() -> None:
    """The error object names message, type, param and code, null or not."""
    assert json.loads(encode_error(Words("m", "t"))) == {
        "error": {"message": "m", "type": "t", "param": None, "code": None}
    }
