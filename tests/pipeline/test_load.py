"""Requests that only have a model loaded are answered without asking anybody."""

import json

from proxy.pipeline.load import answer_load
from proxy.wire.dialects import find_dialect


def test_a_load_is_answered_in_the_form_that_was_asked_for() -> None:
    """As a stream of one line, or as one object; what asks something is left to a provider."""
    parse = find_dialect("ollama_chat").parse_ask
    answer = answer_load(parse("ollama_chat", b'{"model":"m"}', {}))
    assert answer is not None
    assert answer.is_stream
    assert answer.body.endswith(b"}\n")
    assert json.loads(answer.body)["done_reason"] == "load"
    whole = parse("ollama_generate", b'{"model":"m","stream":false,"keep_alive":0}', {})
    answer = answer_load(whole)
    assert answer is not None
    assert not answer.is_stream
    assert json.loads(answer.body)["done_reason"] == "unload"
    assert answer_load(parse("ollama_generate", b'{"model":"m","prompt":"x"}', {})) is None


def test_others_are_never_taken_for_a_load() -> None:
    """An empty request of another dialect is that dialect's mistake."""
    chat = b'{"model":"m","messages":[{"role":"user","content":""}]}'
    assert answer_load(find_dialect("chat").parse_ask("chat", chat, {})) is None
