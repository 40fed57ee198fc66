"""Any request gets a plan, the same every time; and whatever is counted agrees."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.simulator.generator import build_plan
from proxy.simulator.knobs import Knobs
from proxy.simulator.plan import Plan
from proxy.simulator.tokens import count_tokens
from tests.simulator.asking import (
    NOW,
    answer_of,
    chat_body,
    chat_plan,
    chunks_of,
    plan_of,
    status_of,
    text_of,
)

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "user", "assistant", "tool"]),
            "content": _TEXT | st.none() | st.just([{"type": "text", "text": "in a part"}]),
        }
    ),
    min_size=1,
    max_size=4,
)
_OPTIONS = st.fixed_dictionaries(
    {"model": st.sampled_from(["sim-echo", "sim-story@0tps,0ms", "sim-tools"])},
    optional={
        "n": st.integers(1, 3),
        "max_tokens": st.integers(1, 30),
        "stop": st.sampled_from(["e", ["the", "."]]),
        "response_format": st.just({"type": "json_object"}),
    },
)


@settings(deadline=None)
@given(_MESSAGES, _OPTIONS)
def test_usage_and_chunks_agree(messages: Any, options: dict[str, Any]) -> None:
    """For any conversation: whole text, streamed text, chunks and usage are one answer."""
    whole_body = json.dumps({"messages": messages, **options}).encode()
    whole = answer_of(plan_of(whole_body))
    stream_body = json.dumps(
        {
            "messages": messages,
            **options,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    *chunks, last = chunks_of(plan_of(stream_body))
    contents = [c for c in chunks if c["choices"][0]["delta"].get("content")]
    assert last["usage"]["completion_tokens"] == len(contents)
    assert last["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"]
    for answer in (whole, last):
        usage = answer["usage"]
        total = usage["prompt_tokens"] + usage["completion_tokens"]
        assert usage["total_tokens"] == total
    texts = [choice["message"]["content"] for choice in whole["choices"]]
    assert whole["usage"]["completion_tokens"] == sum(map(count_tokens, texts))
    if "story" not in options["model"]:
        # Stories are chosen by the request, and these two requests differ.
        assert texts == [text_of(chunks, index) for index in range(len(texts))]


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["chat/completions", "completions", "embeddings"]))
def test_any_bytes_get_an_answer(body: bytes, path: str) -> None:
    """No body makes the generator fail: what is no request is a 4xx."""
    assert 400 <= status_of(plan_of(body, f"/v1/{path}")) < 500


def test_same_request_same_plan() -> None:
    """Two plans of the same bytes are equal; other bytes have another id."""
    assert chat_plan("sim-story", stream=True) == chat_plan("sim-story", stream=True)
    ids = {answer_of(chat_plan("sim-echo", text))["id"] for text in ("a", "b")}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/chat/completions", {"model": "sim-embed", "messages": [{"role": "user"}]}, "only"),
        ("/embeddings", {"model": "sim-echo", "input": "x"}, "use 'sim-embed'"),
        (
            "/embeddings",
            {"model": "sim-fault-u14-bad-utf8", "input": "x"},
            "only in chat and text completions",
        ),
        (
            "/completions",
            {"model": "sim-fault-u35-choice-open", "prompt": "x"},
            "only in chat completions",
        ),
        (
            "/chat/completions",
            {
                "model": "sim-echo",
                "messages": [{"role": "user"}],
                "metadata": {"sim": {"fault": "u99"}},
            },
            "no fault 'u99'",
        ),
    ],
)
def test_misplaced_wishes_are_explained(path: str, body: dict[str, Any], message: str) -> None:
    """A model or fault that has no place in the operation gets a 400 that says so."""
    plan = plan_of(json.dumps(body).encode(), path)
    assert status_of(plan) == 400
    assert message in answer_of(plan)["error"]["message"]


@pytest.mark.parametrize("model", ["gpt-4o", "sim-", "sim-fault-u99-nothing", "sim-echo2"])
def test_unknown_models_are_404(model: str) -> None:
    """A name that is nothing here is a model_not_found."""
    plan = chat_plan(model)
    assert status_of(plan) == 404
    assert answer_of(plan)["error"]["code"] == "model_not_found"
    assert plan.model == model


def _get(path: str, method: str = "GET") -> Plan:
    return build_plan(method, path, b"", created_at=NOW, face="http")


def test_models_are_described() -> None:
    """The list, one model, a model with a speed, and unknown ones."""
    names = [model["id"] for model in answer_of(_get("/v1/models"))["data"]]
    assert "sim-echo" in names
    assert "sim-fault-u1-refused" not in names
    assert answer_of(_get("/models/sim-echo"))["owned_by"] == "simulator"
    assert answer_of(_get("/models/sim-story%4050tps"))["id"] == "sim-story@50tps"
    for path in ("/models/gpt-4o", "/models/sim-fault-u1-refused", "/models/a%2Fb"):
        assert status_of(_get(path)) == 404


def test_wrong_paths_and_methods_are_told_apart() -> None:
    """An unknown path is 404, a known one with another method 405."""
    assert status_of(_get("/v1/conversations")) == 404
    assert status_of(_get("/v1/chat/completions")) == 405
    assert status_of(_get("/v1/models", "POST")) == 405


def test_nearer_knobs_win() -> None:
    """The request's metadata wins over the name, the name over the options."""
    options = Knobs(fault="u24-500")
    assert status_of(plan_of(chat_body("sim-echo"), options=options)) == 500
    metadata = {"sim": {"fault": "u23-503"}}
    named = chat_body("sim-echo", metadata=metadata)
    assert status_of(plan_of(named, options=options)) == 503
    own = chat_body("sim-fault-u25-401", metadata=metadata)
    assert status_of(plan_of(own, options=options)) == 401
