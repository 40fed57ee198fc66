"""The limit on repeated operational events."""

from proxy.telemetry.flood_gate import MAX_EVENTS_PER_WINDOW, WINDOW_S, FloodGate

EVENT = ("llm_proxy.test", "It happened again")


def test_repeats_are_held_back_and_counted() -> None:
    """Beyond the limit an event is held back; the next window's first tells how many were."""
    gate = FloodGate()

    answers = [gate.admit(EVENT, 0.0) for _ in range(MAX_EVENTS_PER_WINDOW + 3)]

    assert answers == [0] * MAX_EVENTS_PER_WINDOW + [None] * 3
    assert gate.admit(EVENT, WINDOW_S) == 3
    assert gate.admit(EVENT, WINDOW_S) == 0


def test_events_do_not_hold_each_other_back() -> None:
    """A flood of one event leaves another one its lines."""
    gate = FloodGate()
    for _ in range(100):
        gate.admit(EVENT, 0.0)

    assert gate.admit(("llm_proxy.test", "Something else"), 0.0) == 0


def test_memory_is_bounded() -> None:
    """A hundred thousand different events are all let through, and few are remembered."""
    gate = FloodGate()
    for n in range(100_000):
        assert gate.admit(("llm_proxy.test", str(n)), 0.0) == 0

    assert len(gate._events) <= 256
