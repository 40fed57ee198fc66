"""Faults that only the Responses API has a place for."""

from proxy.domain.errors import InvalidRequest
from proxy.simulator.draft import Draft, build_body, build_stream, encode
from proxy.simulator.fault_kind import Fault
from proxy.simulator.plan import Step
from proxy.simulator.responses_format import ResponsesFormat
from proxy.simulator.responses_stream import encode_event
from proxy.simulator.wire_format import Words

_WORDS = Words("The simulated model has failed.", "server_error", None, "server_error")


def fail_response(draft: Draft) -> tuple[Step, ...]:
    """A response whose status is `failed`, with status 200."""
    if not isinstance(draft.format, ResponsesFormat):
        raise InvalidRequest("Only a response can have failed.", param="model")
    if not draft.streams:
        return build_body(draft, encode(draft.format.fail(draft.body, _WORDS)))
    first = draft.chunks[0]
    created, failed = draft.format.begin(first), draft.format.fail(first, _WORDS)
    events = [
        {"type": "response.created", "sequence_number": 0, "response": created},
        {"type": "response.failed", "sequence_number": 1, "response": failed},
    ]
    return build_stream(draft, [encode_event(event) for event in events])


RESPONSE_FAULTS = (
    Fault(
        "u19-failed",
        "U19",
        "200 with a response whose status is `failed`",
        fail_response,
        reach="chat",
        formats=("responses",),
    ),
)
