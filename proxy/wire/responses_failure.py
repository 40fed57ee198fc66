"""Our errors as clients of the Responses API are told them: as answers, and in a stream."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Raw

from proxy.domain.errors import ProxyError
from proxy.wire.base import Ask
from proxy.wire.json_text import encode
from proxy.wire.openai_error import describe_error
from proxy.wire.responses_object import ResponseObject

_RATE = "rate_limit_exceeded"
_OTHER = "server_error"
"""The two of the codes that OpenAI's types know here which fit what happens in mid-answer."""


_PARAMS: Mapping[str, str] = MappingProxyType(
    {
        "messages": "input",
        "response_format": "text",
        "reasoning_effort": "reasoning",
        "max_completion_tokens": "max_output_tokens",
    }
)
"""What is called otherwise in this dialect than in chats, which others are asked by."""


def build_error_body(error: ProxyError) -> bytes:
    """
    Return the body of an error reply: OpenAI's, with the field called as this dialect does.

    Source: wire-formats §2.9; tests/wire/test_responses_failure.py.
    """
    return encode({"error": _tell(error)})


def build_failure(error: ProxyError, ask: Ask | None) -> bytes:
    """
    Return the events that end a stream which failed.

    First an `error`. OpenAI sends one whose members stand in an object `error`, which its own
    SDKs raise; its types describe one in which they stand beside the type. Both are in it. Then,
    if the client has been told of a response, `response.failed` for those that read on.

    Args:
        error: why; its code is of this proxy's.
        ask: what was asked, with what its writer has told the client so far.

    Source: wire-formats §2.7 and §2.10; tests/wire/test_responses_failure.py.
    """
    response_id = None if ask is None else ask.response_id
    number = 0 if ask is None or response_id is None else ask.next_number
    told = _tell(error)
    flat = {name: told[name] for name in ("message", "param", "code")}
    events = _build_event("error", number, {**flat, "error": told})
    if ask is None or response_id is None:
        return events
    code = _RATE if error.status == 429 else _OTHER
    response = ResponseObject(ask, response_id).build(
        "failed", error={"code": code, "message": told["message"]}
    )
    return events + _build_event("response.failed", number + 1, {"response": Raw(response)})


def _tell(error: ProxyError) -> dict[str, str | None]:
    told = describe_error(error)
    param = told["param"]
    return told if param is None else {**told, "param": _PARAMS.get(param, param)}


def _build_event(kind: str, number: int, members: dict[str, object]) -> bytes:
    data = encode({"type": kind, "sequence_number": number, **members})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
