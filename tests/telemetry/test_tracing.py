"""W3C trace context."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.telemetry.tracing import (
    Trace,
    child_traceparent,
    read_traceparent,
    read_tracestate,
)

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
VALID = f"00-{TRACE_ID}-{PARENT_ID}-01"


def test_valid_header_is_read() -> None:
    """The example of the standard gives its parts."""
    assert Trace(TRACE_ID, PARENT_ID, 1) == read_traceparent(VALID)


@pytest.mark.parametrize("value", [f"cc-{VALID[3:]}", f"cc-{VALID[3:]}-what-the-future-holds"])
def test_later_version_is_read(value: str) -> None:
    """A version that does not exist yet is read by today's rules, longer or not."""
    assert Trace(TRACE_ID, PARENT_ID, 1) == read_traceparent(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        VALID + "\n",
        " " + VALID,
        VALID.upper(),
        f"ff-{VALID[3:]}",
        VALID + "-extra",
        f"cc-{VALID[3:]}extra",
        f"00-{'0' * 32}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID[:-1]}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{PARENT_ID}-1",
        f"00-{TRACE_ID}-{PARENT_ID}-0g",
        f"00-{TRACE_ID}-{PARENT_ID}",
        f"00-{TRACE_ID}-{PARENT_ID}-\u0661\u0661",
    ],
)
def test_invalid_header_counts_as_none(value: str | None) -> None:
    """What breaks the standard's form in any place is no trace."""
    assert read_traceparent(value) is None


def test_child_is_a_new_span_of_the_same_trace() -> None:
    """The outbound header keeps the trace id and known flags, and takes our span id."""
    assert f"00-{TRACE_ID}-00000000000000ff-03" == child_traceparent(
        Trace(TRACE_ID, PARENT_ID, 0xFF), 0xFF
    )


@given(st.integers(), st.integers(0, 255))
def test_child_is_always_valid(random_bits: int, flags: int) -> None:
    """Whatever the random bits are, all zeros too, what we send can be read back."""
    child = read_traceparent(child_traceparent(Trace(TRACE_ID, PARENT_ID, flags), random_bits))

    assert child is not None
    assert child.trace_id == TRACE_ID


@pytest.mark.parametrize(
    "value", ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a@b=1 , c/d=x y", "k=v,", "0abc=v"]
)
def test_valid_tracestate_is_passed_on(value: str) -> None:
    """A list of key=value members comes back as it was."""
    assert value == read_tracestate(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " , ",
        "novalue",
        "k=",
        "k=a=b",
        "K=v",
        "k=v,k=w",
        "k=v\x00",
        "k=\u00e9",
        "k=v\r\nevil: 1",
        "k=" + "v" * 511,
        ",".join(f"k{n}=v" for n in range(33)),
    ],
)
def test_invalid_tracestate_is_dropped(value: str | None) -> None:
    """What is too long, not printable or not a list of members is not passed on."""
    assert read_tracestate(value) is None
