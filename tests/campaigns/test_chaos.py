"""The oracle of the campaign of chaos, its reading of the log, its page, and its providers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from campaigns.chaos import (
    FULL_FAILURE,
    RECOVERY,
    Found,
    build_config,
    build_result,
)
from campaigns.ground.chaos.calendar import REDIS, Calendar
from campaigns.ground.chaos.judge import COMMIT_DELAY_S, Request, is_sure, judge
from campaigns.ground.chaos.load import Load, Phase, Seen
from campaigns.ground.chaos.logs import (
    check_redis,
    check_requests,
    find_loud,
    read_log,
)
from campaigns.ground.chaos.plan import PROVIDERS, STEADY, build_text, choose_plan
from campaigns.ground.chaos.troubles import Providers
from campaigns.ground.upstream import running_program
from proxy.config.load import load_config
from proxy.domain.identity import KeyHasher
from tests.fakes.proxy_server import DONE, build_chunk
from tests.faults.fault_upstream import build_answer
from tests.faults.oracle import build_body, build_request
from tests.faults.raw_client import Outcome, Reply, judge_reply, send

MODEL = "unsteady-one"
STEADY_ONE = STEADY[MODEL]
LINE = {"logger": "llm_proxy.requests", "request_id": "req_1", "status_code": 200, "level": "INFO"}
SEEN = Seen(200, "answer", None, "one")


def find_tag(*ends: str, streams: bool = True) -> str:
    """Return a tag of which provider two makes an end of these."""
    wanted = frozenset(ends)
    return next(
        tag
        for tag in (f"tag-{number:08d}" for number in range(9999))
        if choose_plan(tag, "two", MODEL, streams=streams).ends == wanted
    )


def build_outcome(text: str, provider: str, *, error: Mapping[str, Any] | None = None) -> Outcome:
    """Return what a client has got of a stream: all, or a beginning and an error."""
    chunk = build_chunk(text)
    end = DONE if error is None else b"data: " + msgspec.json.encode({"error": error}) + b"\n\n"
    headers = {"content-type": "text/event-stream", "x-llm-proxy-provider": provider}
    return judge_reply(Reply(200, headers, b"", chunk + end, closes=True))


def build_refusal(status: int, code: str) -> Outcome:
    """Return an error by status."""
    error = {"message": "no", "type": "server_error", "param": None, "code": code}
    reply = Reply(status, {"x-llm-proxy-attempts": "2"}, b"", b"", closes=True)
    return Outcome("refused", reply, error)


BROKEN = {"message": "cut", "type": "server_error", "param": None, "code": "upstream_truncated"}


def test_a_whole_answer_must_be_of_a_provider_that_could_give_it() -> None:
    """Word for word, named as that provider's, and not of one whose plan was to fail."""
    good, bad = find_tag("whole"), find_tag("nothing")
    request = Request(good, MODEL, "stream", 0.0)
    text = build_text(good, "two")
    assert judge(request, build_outcome(text, "two"), 1.0, Calendar()) is None
    assert judge(request, build_outcome(text, "one"), 1.0, Calendar())
    assert judge(request, build_outcome(text[:-1], "two"), 1.0, Calendar())
    assert judge(request, build_outcome(text + build_text(good, "one"), "two"), 1.0, Calendar())
    request = Request(bad, MODEL, "stream", 0.0)
    assert judge(request, build_outcome(build_text(bad, "two"), "two"), 1.0, Calendar())


def test_a_beginning_must_be_of_a_provider_that_was_to_break() -> None:
    """Only of a stream, only as far as it is its own text, and only where the plan says so."""
    tag = find_tag("broken", "nothing")
    request = Request(tag, MODEL, "stream", 0.0)
    begun = build_text(tag, "two")[:20]
    calendar = Calendar()
    assert judge(request, build_outcome(begun, "two", error=BROKEN), 1.0, calendar) is None
    assert judge(request, build_outcome(begun + "x", "two", error=BROKEN), 1.0, calendar)
    held = Request(tag, MODEL, "buffered", 0.0)
    assert judge(held, build_outcome(begun, "two", error=BROKEN), 1.0, calendar)
    good = Request(find_tag("whole"), MODEL, "stream", 0.0)
    outcome = build_outcome(build_text(good.tag, "two")[:20], "two", error=BROKEN)
    assert judge(good, outcome, 1.0, calendar)
    calendar.begin("two", "refusing", 0.5)
    assert judge(good, outcome, 1.0, calendar) is None


def test_an_error_needs_an_excuse() -> None:
    """It may be one of few, and only while the steady provider is not well, or just was not."""
    request = Request(find_tag("nothing"), MODEL, "stream", 10.0)
    refusal, calendar = build_refusal(502, "upstream_disconnected"), Calendar()
    assert judge(request, refusal, 11.0, calendar)
    trouble = calendar.begin(STEADY_ONE, "busy", 10.5)
    assert judge(request, refusal, 11.0, calendar) is None
    assert judge(request, build_refusal(500, "internal_error"), 11.0, calendar)
    assert judge(request, build_refusal(404, "model_not_found"), 11.0, calendar)
    trouble.ended_s, trouble.over_s = 8.0, 10.5
    assert judge(request, refusal, 11.0, calendar) is None
    trouble.over_s = 9.0
    assert judge(request, refusal, 11.0, calendar)


def test_an_error_behind_a_head_that_went_out_for_the_silence_is_a_refusal() -> None:
    """It shows nothing of an answer, comes after the delay, and needs the same excuse."""
    nothing, calendar = build_outcome("", "two", error=BROKEN), Calendar()
    for shape in ("stream", "buffered"):
        request = Request(find_tag("nothing"), MODEL, shape, 0.0)
        calendar = Calendar()
        assert judge(request, nothing, COMMIT_DELAY_S + 1.0, calendar)
        calendar.begin(STEADY_ONE, "busy", 0.5)
        assert judge(request, nothing, COMMIT_DELAY_S + 1.0, calendar) is None
        assert judge(request, nothing, COMMIT_DELAY_S - 1.0, calendar)


def test_a_calm_request_is_sure_while_anybody_is_well() -> None:
    """Each of the three answers for it, one alone for another."""
    calendar = Calendar()
    calendar.begin(STEADY_ONE, "busy", 0.0)
    assert is_sure(Request("tag-00000001", "calm", "whole", 1.0), 2.0, calendar)
    assert not is_sure(Request("tag-00000001", MODEL, "whole", 1.0), 2.0, calendar)


def test_troubles_are_counted_by_kind() -> None:
    """Of one thing, all or some kinds."""
    calendar = Calendar()
    for kind in ("killed", "flushed", "killed"):
        calendar.begin(REDIS, kind, 0.0)
    counts = (calendar.count(REDIS), calendar.count(REDIS, "killed"), calendar.count("one"))
    assert counts == (3, 2, 0)


def build_line(**fields: Any) -> dict[str, Any]:
    """Return a good line of a request, with some fields changed."""
    return {**LINE, "outcome": "completed", "error_code": None, "provider": "one", **fields}


def test_a_line_must_say_what_the_client_saw() -> None:
    """Status, outcome, code and provider, once for each request, also of those who left."""
    seen = {"req_1": SEEN}
    assert check_requests([build_line()], seen, 0) == []
    assert check_requests([build_line(), build_line()], seen, 0)
    assert check_requests([], seen, 0)
    assert check_requests([build_line(status_code=502)], seen, 0)
    assert check_requests([build_line(outcome="failed")], seen, 0)
    assert check_requests([build_line(provider="two")], seen, 0)
    left = build_line(request_id="req_2", outcome="client_closed")
    assert check_requests([build_line(), left], seen, 1) == []
    assert check_requests([build_line(), left], seen, 0)


def test_redis_is_told_of_once_for_each_change() -> None:
    """Each worker joins once, and says once of each trouble that it begins and that it is over."""
    joined, opened, closed = (
        {"logger": "llm_proxy.redis", "level": "INFO", "message": message}
        for message in ("redis is joined", "redis OPEN", "redis CLOSED")
    )
    good = [joined, joined, opened, opened, closed, closed]
    assert check_redis(good, 2, 1) == []
    assert check_redis([*good, opened, closed], 2, 1)
    assert check_redis([joined, joined, opened, opened, opened, closed, closed, closed], 2, 2)
    assert check_redis([joined, joined], 2, 1)
    assert check_redis([joined, joined, opened], 2, 1)


def test_the_log_is_searched_for_secrets_and_for_faults(tmp_path: Path) -> None:
    """A secret in any line is found, and what was said louder than a warning of anything else."""
    path = tmp_path / "chaos.log"
    lines = [
        build_line(),
        {"logger": "llm_proxy.redis", "level": "ERROR", "message": "oops, a secret"},
    ]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    read, told = read_log(path, ["a secret", "another"])
    assert told == ["a secret"]
    assert [loud.strip() for loud in find_loud(read)] == ["oops, a secret"]


def build_load() -> Load:
    """Return a load in which all went well."""
    load = Load(1, 100.0, Calendar(), 1)
    load.phases = [
        Phase(FULL_FAILURE, 0.0, 0, attempts=110, asked=100),
        Phase(RECOVERY, 1.0, 110),
    ]
    load.calm_s = {True: [0.01], False: [0.02]}
    return load


def test_a_good_run_passes() -> None:
    """At the limits of amplification and recovery all checks hold."""
    assert build_result(build_load(), Calendar(), Found(recovery_s=6.0)).failures == []


@pytest.mark.parametrize(
    "found",
    [
        Found(recovery_s=None),
        Found(recovery_s=6.1),
        Found(recovery_s=1.0, at_rest=["it"]),
        Found(recovery_s=1.0, log=["it"]),
        Found(recovery_s=1.0, redis_log=["it"]),
        Found(recovery_s=1.0, loud=["it"]),
        Found(recovery_s=1.0, secrets=["it"]),
        Found(recovery_s=1.0, ending=["it"]),
    ],
)
def test_each_finding_fails_one_check(found: Found) -> None:
    """Whatever was found is told in a row of its own."""
    assert len(build_result(build_load(), Calendar(), found).failures) == 1


def test_requests_and_figures_fail_their_checks() -> None:
    """More attempts than allowed, slow requests without Redis, and a complaint of each kind."""
    load = build_load()
    load.phases[0].attempts = 111
    load.calm_s[False] = [0.2]
    load.complaints = {"outcome": ["it"], "oracle": ["it"]}
    assert len(build_result(load, Calendar(), Found(recovery_s=1.0)).failures) == 4


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    """It has the three providers, four names, and for each unsteady one the steady one last."""
    path = tmp_path / "config.yaml"
    path.write_text(build_config(8000, [1, 2, 3], "redis://127.0.0.1:6379", tmp_path / "log"))
    snapshot = load_config(path, {}, KeyHasher(b"k"), now_at=0.0).snapshot
    first = snapshot.groups[MODEL].deployments
    assert [each.provider.name for each in first][-1] == STEADY_ONE
    assert set(snapshot.providers) == set(PROVIDERS)


async def test_the_providers_do_what_is_planned_and_what_they_are_told() -> None:
    """They answer by plan, count what they read, and are busy or gone while they are to be."""
    tag = find_tag("whole", streams=False)
    request = build_request(build_body(tag.encode(), model=MODEL, stream=False))
    with running_program("chaos_upstream") as program:
        providers = Providers(program, Calendar(), 5.0)
        port = providers.ports[1]
        (reply,) = await send(port, request)
        assert (
            msgspec.json.decode(reply.body)["choices"]
            == build_answer(build_text(tag, "two"))["choices"]
        )
        await providers.ask("be two busy")
        (reply,) = await send(port, request)
        assert reply.status == 503
        await providers.ask("be two refusing")
        with pytest.raises(ConnectionRefusedError):
            await send(port, request)
        counts = await providers.ask("be two well")
        (reply,) = await send(port, request)
        assert (reply.status, counts.requests, counts.faults) == (200, 2, 0)
