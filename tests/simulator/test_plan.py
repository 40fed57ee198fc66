"""Which plans an ordinary HTTP server can play."""

import pytest

from proxy.simulator.plan import Cut, Data, End, Head, Plan, Reset, Spoil, Stall, Step, Wait

HEAD = Head(200, ())
BODY = Data(b"x", 1)


@pytest.mark.parametrize(
    "steps", [(HEAD, BODY, End()), (Wait(1), HEAD, Wait(1), BODY, End()), (HEAD, End(), Spoil())]
)
def test_whole_answers_are_plain(steps: tuple[Step, ...]) -> None:
    """Waits, a head, a body and its end need no access to the socket."""
    assert Plan(steps).is_plain


@pytest.mark.parametrize(
    "steps",
    [
        (Reset(),),
        (HEAD, Stall()),
        (HEAD, BODY, Cut()),
        (Head(200, (), "length", 9), BODY, End()),
        (Head(200, (), "close"), BODY, End()),
    ],
)
def test_broken_answers_are_not(steps: tuple[Step, ...]) -> None:
    """A cut, a silence or an unusual framing is no plain plan."""
    assert not Plan(steps).is_plain
