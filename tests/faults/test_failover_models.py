"""U27: the client's mistake is told at once; too long or filtered may suit another model."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from proxy.domain.catalog import Deployment, Group, ModelInfo, Snapshot
from tests.faults.fault_upstream import (
    Deed,
    build_good,
    build_json,
    build_secret_error,
    build_stream,
    tell,
)
from tests.faults.oracle import UPSTREAM_SECRET
from tests.faults.several import judging_several, say

both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
Edit = Callable[[Snapshot], Snapshot]


def _reject(code: str | None, words: str = "Not like this.", status: int = 400) -> Deed:
    fields = {} if code is None else {"code": code}
    return tell(build_json(build_secret_error(words, **fields), "length", status))


_TOO_LONG = _reject("context_length_exceeded")
_FILTERED = _reject("content_policy_violation")
_WRONG = _reject("invalid_value")


def _build_edit(windows: Mapping[str, int] | None = None, *fallbacks: str) -> Edit:
    """Return what makes a catalog of `m` at `a` and `b`, and `big` at `c`, of these windows."""

    def edit(snapshot: Snapshot) -> Snapshot:
        models = {"a": "m", "b": "m", "c": "big"}
        deployments = {}
        for name, listed in snapshot.providers.items():
            window = (windows or {}).get(name)
            info = {models[name]: ModelInfo(max_input_tokens=window)}
            provider = replace(listed, models=(models[name],), model_info=info)
            deployments[name] = Deployment(provider, models[name], provider.priority)
        groups = {
            "m": Group("m", (deployments["a"], deployments["b"]), fallbacks=fallbacks),
            "big": Group("big", (deployments["c"],)),
        }
        providers = {name: each.provider for name, each in deployments.items()}
        return replace(snapshot, providers=providers, groups=groups)

    return edit


@both
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_u27_what_is_wrong_everywhere_is_asked_once(stream: bool, status: int) -> None:
    """U27: the provider's 400 in its words; nobody else is asked, no fallback either."""
    good = tell(build_good(stream))
    deed = _reject("invalid_value", "No such temperature.", status)
    async with judging_several([deed], [good], [good], edit=_build_edit(None, "big")) as served:
        outcome = await served.judge.ask(stream=stream)
        assert served.count_requests() == [1, 0, 0]
        report = await served.read_breaker("a/m")
    assert outcome.verdict == ("refused", status, "invalid_value")
    assert outcome.error["message"] == "No such temperature."
    assert outcome.reply.headers["x-should-retry"] == "false"
    assert (report.state, report.failure_count) == ("closed", 0)


@both
@pytest.mark.parametrize(
    ("windows", "answering"),
    [({"a": 8000, "b": 128_000}, True), ({"a": 8000, "b": 8000}, False), ({"a": 8000}, False)],
    ids=["larger", "as large", "unknown"],
)
async def test_u27_too_long_for_one_and_not_for_the_other(
    stream: bool, windows: dict[str, int], answering: bool
) -> None:
    """U27: of one model's deployments only one that is known to take more is asked too."""
    good = tell(build_good(stream))
    async with judging_several([_TOO_LONG], [good], [good], edit=_build_edit(windows)) as served:
        outcome = await served.judge.ask(stream=stream)
        assert served.count_requests() == [1, int(answering), 0]
    if answering:
        assert outcome.verdict == ("answer", 200, None)
    else:
        assert outcome.verdict == ("refused", 400, "context_length_exceeded")


REQUESTS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "the route's fallbacks": (("big",), {}),
    "the request's fallbacks": ((), {"fallbacks": ["big"]}),
    "the request's models": ((), {"models": ["m", "big"]}),
}
"""The route's own fallbacks, and fields of a request."""


@both
@pytest.mark.parametrize("case", REQUESTS)
@pytest.mark.parametrize("fault", ["context", "filter"])
async def test_u27_a_fallback_takes_it(stream: bool, case: str, fault: str) -> None:
    """U27: too long or filtered: not the same model elsewhere, but the fallback answers, unseen."""
    good = tell(build_good(stream))
    fallbacks, fields = REQUESTS[case]
    deed = _TOO_LONG if fault == "context" else _FILTERED
    refusal_name = "context_length_exceeded" if fault == "context" else "content_policy_violation"
    edit = _build_edit({"a": 8000, "b": 8000, "c": 128_000}, *fallbacks)
    async with judging_several([deed], [good], [good], edit=edit) as served:
        outcome = await served.judge.ask(stream=stream, **fields)
        attempts = served.list_attempts(outcome)
        record = await served.judge.read_record(outcome)
        text = await served.ask_sdk(stream, extra_body=fields)
        assert served.count_requests() == [2, 0, 2]
    assert outcome.verdict == ("answer", 200, None)
    assert attempts == [("a", refusal_name), ("c", "ok")]
    assert (record.alias, record.fallback) == ("m", "big")
    assert text == say("c", stream)


async def test_u27_a_fallback_that_is_known_to_take_less_is_not_asked() -> None:
    """U27: too long for the model, and its fallback has a smaller window: told at once."""
    edit = _build_edit({"a": 128_000, "b": 128_000, "c": 8000}, "big")
    good = tell(build_good(True))
    async with judging_several([_TOO_LONG], [good], [good], edit=edit) as served:
        outcome = await served.judge.ask(stream=True)
        assert served.count_requests() == [1, 0, 0]
    assert outcome.verdict == ("refused", 400, "context_length_exceeded")


@both
async def test_u27_a_fallback_that_fails_too(stream: bool) -> None:
    """U27: the fallback fails as well: the client hears what its own model said."""
    words = "This model's maximum context length is 16 tokens."
    deed = _reject("context_length_exceeded", words)
    for last in (_reject("invalid_value", "Other words."), _TOO_LONG, _FILTERED):
        edit = _build_edit(None, "big")
        async with judging_several([deed], [deed], [last], edit=edit) as served:
            outcome = await served.judge.ask(stream=stream)
            assert served.count_requests() == [1, 0, 1]
        assert outcome.verdict == ("refused", 400, "context_length_exceeded")
        assert outcome.error["message"] == words


async def test_u27_a_fallback_is_not_asked_again_for_what_is_too_long() -> None:
    """U27: the fallback has a fault of its own: the client is told what it can mend, at once."""
    down = tell(build_json(build_secret_error(UPSTREAM_SECRET), "length", 500))
    fields, edit = {"max_retries": 3}, _build_edit(None, "big")
    async with judging_several(
        [_TOO_LONG], [_TOO_LONG], [down], fields=fields, edit=edit
    ) as served:
        outcome = await served.judge.ask()
        assert served.count_requests() == [1, 0, 1]
    assert outcome.verdict == ("refused", 400, "context_length_exceeded")


@both
async def test_a_fallback_stands_in_for_a_model_that_is_down(stream: bool) -> None:
    """Both of a model's providers fail: its fallback answers, and the head says so."""
    down = tell(build_json(build_secret_error(UPSTREAM_SECRET), "length", 503))
    good = tell(build_good(stream))
    async with judging_several([down], [down], [good], edit=_build_edit(None, "big")) as served:
        outcome = await served.judge.ask(stream=stream)
        attempts = served.list_attempts(outcome)
    assert outcome.verdict == ("answer", 200, None)
    assert [name for name, _ in attempts] == ["a", "b", "c"]
    assert outcome.reply.headers["x-llm-proxy-provider"] == "c"
    assert outcome.reply.headers["x-litellm-attempted-fallbacks"] == "1"


async def test_u27_filtered_in_the_first_event() -> None:
    """U27: an error about the content as a stream's first event is the same as its status."""
    event = b'data: {"error":{"message":"Filtered.","code":"content_filter"}}\n\n'
    good = tell(build_good(True))
    edit = _build_edit(None, "big")
    async with judging_several([tell(build_stream([event]))], [good], [good], edit=edit) as served:
        outcome = await served.judge.ask(stream=True)
        assert served.count_requests() == [1, 0, 1]
    assert outcome.verdict == ("answer", 200, None)
