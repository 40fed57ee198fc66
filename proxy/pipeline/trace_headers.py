"""The client's trace, passed on to the provider as its child."""

from collections.abc import Mapping
from random import getrandbits

from proxy.telemetry.tracing import Trace, child_traceparent, read_tracestate

_NONE: Mapping[str, str] = {}


def build_trace_headers(trace: Trace | None, headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return `traceparent`, and the client's `tracestate` if valid; nothing without a trace."""
    if trace is None:
        return _NONE
    traceparent = child_traceparent(trace, getrandbits(64))
    state = read_tracestate(headers.get("tracestate"))
    if state is None:
        return {"traceparent": traceparent}
    return {"traceparent": traceparent, "tracestate": state}
