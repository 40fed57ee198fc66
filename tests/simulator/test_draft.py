"""Drafts become steps at their pace."""

import pytest

from proxy.simulator.draft import Draft, build_good
from proxy.simulator.knobs import Knobs
from proxy.simulator.openai_format import encode_error, encode_frame
from proxy.simulator.plan import Data, Head, Wait
from proxy.simulator.wire_format import Words
from tests.simulator.asking import chat_plan


def test_streams_wait_between_tokens() -> None:
    """The first byte of the body comes after the delay, then one gap per further token."""
    steps = chat_plan("sim-echo@10tps,200ms", "one two three", stream=True).steps
    kinds = [type(step) for step in steps[:8]]
    assert kinds == [Head, Wait, Data, Data, Wait, Data, Wait, Data]
    waits = [step.seconds for step in steps if isinstance(step, Wait)]
    assert waits == [0.2, 0.1, 0.1]


def test_choices_are_generated_side_by_side() -> None:
    """Two choices take as long as one."""
    one = chat_plan("sim-echo@10tps", "one two three", stream=True).steps
    two = chat_plan("sim-echo@10tps", "one two three", stream=True, n=2).steps
    durations = [sum(s.seconds for s in steps if isinstance(s, Wait)) for steps in (one, two)]
    assert durations[1] == pytest.approx(durations[0], abs=0.1)


def test_whole_answers_wait_before_their_head() -> None:
    """An answer that is no stream takes the time of all its tokens, then comes at once."""
    steps = chat_plan("sim-echo@10tps,200ms", "one two three").steps
    assert isinstance(steps[0], Wait)
    assert steps[0].seconds == pytest.approx(0.5)
    assert [type(step) for step in steps].count(Wait) == 1


def test_no_speed_is_no_wait() -> None:
    """0 tokens per second means that nothing waits."""
    steps = chat_plan("sim-story@0tps,0ms", stream=True).steps
    assert not any(isinstance(step, Wait) for step in steps)


def test_frames_and_errors_have_openais_form() -> None:
    """An event is one `data:` line, an error has all four keys."""
    assert encode_frame({"a": 1}) == b'data: {"a":1}\n\n'
    error = encode_error(Words("m", "t", None, "c"))
    assert error == b'{"error":{"message":"m","type":"t","param":null,"code":"c"}}'


def test_the_usage_chunk_is_like_its_neighbours() -> None:
    """The usage chunk repeats id and model and has no choice."""
    chunk = {"id": "x", "choices": [{"index": 0}]}
    draft = Draft(
        model="m",
        created_at=1,
        knobs=Knobs(),
        streams=True,
        usage={"total_tokens": 3},
        chunks=[chunk],
        sends_usage_chunk=True,
    )
    frames = [step.chunk for step in build_good(draft) if isinstance(step, Data)]
    assert frames[1] == encode_frame({"id": "x", "choices": [], "usage": {"total_tokens": 3}})
