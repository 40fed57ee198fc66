"""Tests of `proxy/providers/probe_answer.py`: what an answer to a probe says."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.catalog import Provider
from proxy.domain.health import HealthState, ProbeReading, ProbeSettings
from proxy.domain.secret import Secret
from proxy.providers.ollama import OLLAMA
from proxy.providers.openai_compatible import KINDS
from proxy.providers.probe_answer import (
    MAX_MODELS,
    MAX_NAME_CHARACTERS,
    MAX_PROBE_BODY_BYTES,
    find_probed_model,
    read_probe_answer,
)

BY_TYPE = {kind.type: kind for kind in (*KINDS, OLLAMA)}
KEY = Secret("sk-canary")


def read(
    status: int,
    body: Any = b"",
    type_name: str = "openai",
    *,
    key: Secret | None = KEY,
    **probe: Any,
) -> ProbeReading:
    """What an answer of a provider of that type says; a body that is no bytes is sent as JSON."""
    models = ("m-1",) if probe.get("kind") == "completion" else ()
    provider = Provider(
        "p", type_name, "http://x/v1", api_key=key, models=models, probe=ProbeSettings(**probe)
    )
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_probe_answer(BY_TYPE[type_name], provider, status, data)


STATES: list[tuple[str, int, HealthState]] = [
    ("openai", 401, "key_rejected"),
    ("openai", 402, "key_rejected"),
    ("openai", 403, "key_rejected"),
    ("openai", 400, "healthy"),
    ("openai", 404, "healthy"),
    ("openai", 405, "healthy"),
    ("openai", 408, "unhealthy"),
    ("openai", 429, "rate_limited"),
    ("openai", 302, "unhealthy"),
    ("openai", 407, "unhealthy"),
    ("openai", 500, "unhealthy"),
    ("openai", 503, "unhealthy"),
    ("openai", 529, "unhealthy"),
    ("grok", 400, "key_rejected"),
    ("grok", 401, "key_rejected"),
    ("llama_cpp", 503, "warming"),
    ("llama_cpp", 500, "unhealthy"),
    ("lm_studio", 503, "warming"),
    ("vllm", 503, "unhealthy"),
    ("ollama", 503, "unhealthy"),
]


@pytest.mark.parametrize(("type_name", "status", "state"), STATES)
def test_a_status_has_its_meaning_at_each_type(
    type_name: str, status: int, state: HealthState
) -> None:
    """Refused keys, limits, loading models and failures are told apart by the status alone."""
    reading = read(status, b"<html>whatever</html>", type_name)
    assert reading.state == state
    assert str(status) in reading.reason or state == "healthy"
    assert reading.models == ()


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_server_that_wants_a_key_which_nobody_has_set_refuses(status: int) -> None:
    """As it will every request; the reason says what it wants."""
    reading = read(status, b"", "vllm", key=None)
    assert (reading.state, "wants a key" in reading.reason) == ("key_rejected", True)


LISTS: list[Any] = [
    {"object": "list", "data": [{"id": "m-1", "object": "model"}, {"id": "m-2"}]},
    {"models": [{"name": "m-1", "model": "other"}, {"name": "m-2"}]},
    [{"id": "m-1", "pricing": {"input": 1}}, {"id": "m-2"}],
    {"data": ["m-1", "m-2"]},
    {"data": [{"id": "m-1"}, {"id": 7}, 8, None, {}, {"id": "m-1"}, {"id": "m-2"}]},
]


@pytest.mark.parametrize("body", LISTS)
def test_models_are_found_in_every_shape_of_list(body: Any) -> None:
    """Names come in the list's order, each once; what is no name is passed over."""
    reading = read(200, body)
    assert (reading.state, reading.models) == ("healthy", ("m-1", "m-2"))


def test_names_that_could_do_harm_are_passed_over() -> None:
    """Of names that are empty, too long or not printable none is taken, and at most 500 others."""
    bad = ["", " x", "a\nb", "\x1b[31m", "x" * (MAX_NAME_CHARACTERS + 1)]
    good = [f"m-{number}" for number in range(MAX_MODELS + 7)]
    reading = read(200, {"data": [{"id": name} for name in bad + good]})
    assert reading.models == tuple(good[:MAX_MODELS])


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><html>Log in</html>", b"", b"OK", b'{"data":'])
def test_a_page_in_the_place_of_a_list_is_no_health(body: bytes) -> None:
    """A 200 that is not JSON is unhealthy: somebody else answers, such as a login page."""
    assert read(200, body).state == "unhealthy"


def test_an_error_inside_of_a_200_is_a_failure() -> None:
    """An error under a good status is unhealthy, and none of its words are in the reason."""
    reading = read(200, {"error": {"message": "secret words"}})
    assert reading.state == "unhealthy"
    assert "secret" not in reading.reason


def test_the_details_of_a_key_are_no_models() -> None:
    """OpenRouter's answer about the key is healthy and lists nothing."""
    reading = read(200, {"data": {"label": "sk-...", "usage": 1}}, "openrouter")
    assert (reading.state, reading.models) == ("healthy", ())


def test_a_list_that_was_cut_off_is_an_answer() -> None:
    """What is longer than is read counts as an answer without names."""
    body = (b'{"data":[' + b'{"id":"m"},' * 40_000)[:MAX_PROBE_BODY_BYTES]
    assert len(body) == MAX_PROBE_BODY_BYTES
    assert (read(200, body).state, read(200, body).models) == ("healthy", ())


@pytest.mark.parametrize(
    ("body", "state"),
    [(b"", "healthy"), (b"Ollama is running", "healthy"), (b" <html>", "unhealthy")],
)
def test_a_path_of_the_operators_may_answer_in_words(body: bytes, state: HealthState) -> None:
    """Behind `probe_path` any answer is good that is no page."""
    assert read(200, body, path="/ping").state == state


def test_a_path_of_the_operators_that_is_not_there_is_told() -> None:
    """A 404 behind `probe_path` is unhealthy: somebody meant that path to be there."""
    assert read(404, path="/ping").state == "unhealthy"


def test_a_list_behind_a_path_of_the_operators_is_read() -> None:
    """Models are found there as well."""
    assert read(200, {"data": [{"id": "m-1"}]}, path="/v2/models").models == ("m-1",)


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"choices": [{"message": {"content": "Hi"}}]}, "healthy"),
        ({"error": {"message": "x"}}, "unhealthy"),
        ({"data": []}, "unhealthy"),
        (b"<html>", "unhealthy"),
    ],
)
def test_a_completion_must_be_one(body: Any, state: HealthState) -> None:
    """Where a token was asked for, only an answer with choices is healthy."""
    assert read(200, body, kind="completion").state == state


def test_the_first_listed_model_is_asked() -> None:
    """A probe by completion asks the first model that is a name."""
    assert find_probed_model(Provider("p", "openai", "", models=("*", "a", "b"))) == "a"
    assert find_probed_model(Provider("p", "openai", "", models=("*",))) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["data", "models", "id", "name"]), inner)
    ),
)


@given(
    st.integers(200, 599),
    st.binary() | _JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(sorted(BY_TYPE)),
)
def test_no_answer_breaks_the_reader(status: int, body: bytes, type_name: str) -> None:
    """Whatever comes is read as something, and every name in it is a plain one."""
    reading = read(status, body, type_name)
    assert reading.reason.isprintable()
    assert all(name.isprintable() and name for name in reading.models)


def test_a_deep_answer_is_not_json() -> None:
    """What is nested deeper than can be read is unhealthy."""
    assert read(200, b"[" * 100_000).state == "unhealthy"
