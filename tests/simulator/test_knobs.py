"""Model names turn the knobs that docs/simulator.md says they turn."""

import pytest

from proxy.domain.errors import InvalidRequest
from proxy.simulator.knobs import Knobs, merge_knobs, parse_model_name


@pytest.mark.parametrize(
    ("name", "base", "knobs"),
    [
        ("sim-story", "sim-story", Knobs()),
        ("sim-story@50tps", "sim-story", Knobs(tokens_per_s=50)),
        ("sim-story@50tps,200ms", "sim-story", Knobs(tokens_per_s=50, first_token_ms=200)),
        ("sim-echo@1.5s", "sim-echo", Knobs(first_token_ms=1500)),
        ("sim-story@500tokens,0tps", "sim-story", Knobs(tokens=500, tokens_per_s=0)),
        ("sim-fault-u9-drip@after5,gap20ms", "sim-fault-u9-drip", Knobs(after_events=5, gap_ms=20)),
        ("sim-fault-u15-huge-line@20mb", "sim-fault-u15-huge-line", Knobs(size_mb=20)),
        ("sim-tools@2calls,9thoughts", "sim-tools", Knobs(calls=2, thoughts=9)),
        ("sim-echo@100cached", "sim-echo", Knobs(cached=100)),
        ("openai/gpt-4o", "openai/gpt-4o", Knobs()),
    ],
)
def test_names_are_read(name: str, base: str, knobs: Knobs) -> None:
    """What stands behind the `@` are knobs, what stands before it is the model."""
    assert parse_model_name(name) == (base, knobs)


@pytest.mark.parametrize("tail", ["", "fast", "50", "50tps,", "-5ms", "1e3tps", "٣tps"])
def test_bad_speeds_are_explained(tail: str) -> None:
    """A part that is no speed is refused with the list of what is one."""
    with pytest.raises(InvalidRequest, match=r"<n>tps, <n>ms") as raised:
        parse_model_name(f"sim-story@{tail}")
    assert raised.value.param == "model"


@pytest.mark.parametrize("tail", ["0tokens", "9999999ms", "0mb", "999mb"])
def test_values_out_of_range_are_refused(tail: str) -> None:
    """A speed of the right form but beyond its limits is refused with the limit."""
    with pytest.raises(InvalidRequest, match="bad value: Expected"):
        parse_model_name(f"sim-story@{tail}")


def test_later_knobs_win() -> None:
    """Of several layers the last one that sets a knob counts; None sets nothing."""
    merged = merge_knobs(
        Knobs(tokens_per_s=5, gap_ms=1), Knobs(tokens_per_s=0), Knobs(fault="u24-500")
    )
    assert merged == Knobs(tokens_per_s=0, gap_ms=1, fault="u24-500")
