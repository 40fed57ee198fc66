"""What the fault functions share: where an answer is cut, and texts put into it."""

import json

from proxy.simulator.ask import ChatAsk, CompletionAsk, parse_ask
from proxy.simulator.chat import build_chat
from proxy.simulator.completions import build_completion
from proxy.simulator.draft import Draft
from proxy.simulator.fault_kind import first_frames, set_text, text_chunk
from proxy.simulator.faults import FAULTS
from proxy.simulator.knobs import Knobs
from tests.simulator.asking import chat_body


def _chat(stream: bool, after_events: int = 3) -> Draft:
    ask = parse_ask(chat_body("sim-echo", "a b c", stream=stream), ChatAsk)
    return build_chat(ask, "sim-echo", Knobs(after_events=after_events), 1, 1)


def _completion(stream: bool, after_events: int = 3) -> Draft:
    body = json.dumps({"model": "sim-echo", "prompt": "a b c", "stream": stream}).encode()
    ask = parse_ask(body, CompletionAsk)
    return build_completion(ask, "sim-echo", Knobs(after_events=after_events), 1, 1)


def test_a_cut_never_lies_behind_the_finish() -> None:
    """However many events are asked for, none of them has a finish reason."""
    assert len(first_frames(_chat(True, 2))) == 2
    assert len(first_frames(_chat(True, 99))) == 4
    assert len(first_frames(_completion(True, 99))) == 2
    frames = [*first_frames(_chat(True, 99)), *first_frames(_completion(True, 99))]
    assert not any(b'"finish_reason":"' in frame for frame in frames)


def test_texts_are_put_where_the_operation_has_them() -> None:
    """Chat has content in a delta or message, legacy completions have text."""
    assert text_chunk(_chat(True), "new")["choices"][0]["delta"] == {"content": "new"}
    assert text_chunk(_completion(True), "new")["choices"][0]["text"] == "new"
    assert set_text(_chat(False), "new")["choices"][0]["message"]["content"] == "new"
    assert set_text(_completion(False), "new")["choices"][0]["text"] == "new"


def test_the_model_names_the_fault() -> None:
    """A fault's model is its name behind `sim-fault-`."""
    assert FAULTS["u24-500"].model == "sim-fault-u24-500"
