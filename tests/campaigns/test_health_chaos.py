"""The campaign of the health worker: its providers, its configuration, what it reads, its page."""

import asyncio
import json
from pathlib import Path

import msgspec

from campaigns.base import PASSED
from campaigns.ground.client import Answer, Client, build_chat_request
from campaigns.ground.health_chaos.load import Phase, Tally, TwinLoad, judge_answer
from campaigns.ground.health_chaos.page import Found, build_result
from campaigns.ground.health_chaos.plan import (
    ALONE,
    DYING,
    FLAPPING,
    FLEETS,
    KEYS,
    MISJUDGED,
    PROVIDERS,
    ROUTES,
    WATCHED,
    Counts,
    build_config,
    list_models,
)
from campaigns.ground.health_chaos.sightings import Item, Sighting, Watch
from campaigns.ground.health_chaos.workers import (
    LEADS,
    STANDS_BY,
    HealthProcess,
    Workers,
    read_lines,
)
from campaigns.ground.upstream import running_program
from proxy.config.load import load_config
from proxy.domain.identity import KeyHasher
from tests.canaries import CLIENT_KEY

MODEL = ROUTES[0].model


def build_request(fleet: str, path: str | None = None, *, is_stream: bool = False) -> bytes:
    """Return a request of a fleet's proxy, or of its health worker where it has a path."""
    data = build_chat_request(MODEL, is_stream=is_stream)
    if path is not None:
        bearer = f"Authorization: Bearer {CLIENT_KEY}"
        data = f"GET {path} HTTP/1.1\r\nHost: campaign\r\n{bearer}\r\n\r\n".encode()
    return data.replace(CLIENT_KEY.encode(), KEYS[fleet].encode())


def test_both_fleets_are_served_alike(tmp_path: Path) -> None:
    """Their configurations are good, and differ in the key and the Redis that they name."""
    texts = [build_config(fleet, "192.0.2.7", range(9000, 9050), "redis://h:1") for fleet in FLEETS]
    assert texts[0].replace(KEYS[WATCHED], "") == texts[1].replace(KEYS[ALONE], "")
    config = tmp_path / "config.yaml"
    config.write_text(texts[0])
    snapshot = load_config(config, {}, KeyHasher(b"p" * 32), now_at=0.0).snapshot
    assert list(snapshot.providers) == list(PROVIDERS)
    assert set(snapshot.groups) >= {route.model for route in ROUTES}


def test_no_provider_has_two_parts_in_the_play() -> None:
    """What is done to some says nothing of others; and never are half of them done to at once."""
    parts = (*DYING, *FLAPPING, *MISJUDGED)
    assert len(set(parts)) == len(parts) < len(PROVIDERS) / 2
    behind = [name for route in ROUTES for name in route.providers]
    assert len(set(behind)) == len(behind)
    for route in ROUTES:
        assert set(route.providers) - set(parts), f"nobody well is left behind {route.model}"


def test_providers_are_what_they_are_told_to_be() -> None:
    """They count probes and each fleet's requests, and fail the one or both as they are told."""
    with running_program("health_upstream", "127.0.0.1") as program:
        port = int(program.read_line().split()[0])
        name = PROVIDERS[0]

        async def ask(request: bytes) -> int:
            client = Client(port)
            try:
                answer = await client.ask(request)
            except Exception as error:  # noqa: BLE001 - which one is said by its own text
                return 0 if "reset" in str(error) or "closed" in str(error) else -1
            finally:
                client.close()
            if answer.status == 200 and answer.body.startswith((b"data: ", b'{"id"')):
                assert judge_answer(answer) is None
            return answer.status

        def ask_both(manner: str) -> tuple[int, int]:
            program.ask(f"be {manner} {name}")
            probe, chat = build_request(WATCHED, "/v1/models"), build_request(ALONE)
            return asyncio.run(ask(probe)), asyncio.run(ask(chat))

        assert ask_both("well") == (200, 200)
        assert ask_both("deaf") == (0, 200)
        assert ask_both("limited") == (429, 200)
        assert ask_both("broken") == (503, 200)
        assert ask_both("down") == (0, 0)
        assert ask_both("well") == (200, 200)
        assert asyncio.run(ask(build_request(WATCHED, is_stream=True))) == 200
        counts = msgspec.json.decode(program.ask("count"), type=Counts)
        assert len(counts.probes[name]) == 6
        assert sorted(counts.probes[name]) == list(counts.probes[name])
        assert (counts.chats[WATCHED][name], counts.chats[ALONE][name]) == (1, 6)
        assert counts.by_strangers == 0
        asyncio.run(ask(build_request(ALONE, "/v1/models")))
        assert msgspec.json.decode(program.ask("count"), type=Counts).by_strangers == 1


def test_a_provider_lists_the_models_that_it_is_configured_with() -> None:
    """Each has at least one, and those of all routes are served."""
    assert all(map(list_models, PROVIDERS))
    assert {m for name in PROVIDERS for m in list_models(name)} > {r.model for r in ROUTES}


def test_an_answer_is_whole_and_of_one_provider() -> None:
    """A status, a stream without its end, two names and no name are each told."""
    good = json.dumps({"choices": [{"message": {"content": PROVIDERS[3]}}]}).encode()
    assert judge_answer(Answer(200, good, 1)) is None
    assert judge_answer(Answer(503, good, 1))
    assert judge_answer(Answer(200, b"data: " + good + b"\n\n", 1))
    assert judge_answer(Answer(200, b"data: " + good + b"\n\ndata: [DONE]\n\n", 1)) is None
    assert judge_answer(Answer(200, good.replace(b"provider-03", b"nobody"), 1))
    assert judge_answer(Answer(200, good.replace(b"-03", b"-03 provider-04"), 1))


def test_who_led_when_is_read_from_the_logs(tmp_path: Path) -> None:
    """A line that is none counts as printed; lines that are not whole yet are left alone."""
    workers = [HealthProcess(number, tmp_path, tmp_path / f"w{number}", 1) for number in range(2)]
    line = '{{"timestamp": "2026-11-27T10:00:{:02d}Z", "level": "INFO", "message": "{}"}}\n'
    workers[0].output.write_text(line.format(1, LEADS) + line.format(9, STANDS_BY))
    workers[1].output.write_text("Traceback\n" + line.format(5, LEADS) + '{"half')
    terms = Workers(workers).read_terms()
    assert [(term.worker, term.leads) for term in terms] == [(0, True), (1, True), (0, False)]
    assert terms[1].at - terms[0].at == 4.0
    assert Workers(workers).find_leader() is workers[1]
    assert next(read_lines(workers[1].output))["level"] == "PRINTED"


def build_good_run() -> tuple[TwinLoad, Watch, Found]:
    """Return a campaign in which all went well."""
    load = TwinLoad({fleet: [1] for fleet in FLEETS}, 1)
    tallies = {fleet: Tally(1000, 1000) for fleet in FLEETS}
    twins = [dict.fromkeys(FLEETS, 0.01) for _ in range(1000)]
    load.phases.append(Phase("calm", 0.0, 200.0, tallies, twins))
    checked = [Item(PROVIDERS[0], "healthy", at, 0.1, 1.0, "probe") for at in (100.0, 105.0)]
    sightings = [Sighting(0, item, (item.last_check or 0) + 0.2, 0.0) for item in checked]
    found = Found(status_s=0.002, checks_s={"a proxy": 0.3}, takeovers_s=[9.0], released_s=1.0)
    return load, Watch([1], sightings), found


def test_a_good_run_passes() -> None:
    """Every check has a row, and each row is good."""
    result = build_result(*build_good_run())
    assert result.failures == []
    assert all(list(cells) == [PASSED] for cells in result.rows.values())


def test_each_thing_that_was_found_fails_the_campaign() -> None:
    """Whatever list of what was wrong is not empty, one row says so."""
    lists = [field for field in Found.__struct_fields__ if field not in NO_COMPLAINTS]
    for field in lists:
        load, watch, found = build_good_run()
        setattr(found, field, ["this was wrong"])
        assert len(build_result(load, watch, found).failures) == 1, field
    for field, value in (("status_s", 0.006), ("released_s", 9.0), ("takeovers_s", [99.0])):
        load, watch, found = build_good_run()
        setattr(found, field, value)
        assert len(build_result(load, watch, found).failures) == 1, field
    load, watch, found = build_good_run()
    found.checks_s["the leader"] = 2.1
    assert len(build_result(load, watch, found).failures) == 1
    load, watch, found = build_good_run()
    watch.sightings.clear()
    assert len(build_result(load, watch, found).failures) == 1


NO_COMPLAINTS = {
    "probes",
    "period_s",
    "status_s",
    "checks_s",
    "takeovers_s",
    "taken_over_at_s",
    "released_s",
    "begun_anew_at",
    "asked_dead",
    "recovered_s",
    "terms",
}
"""What is no list of complaints: measured, and looked at in other ways."""
