"""
Abuses A37 to A40: what is written down about requests, and what never is.

The watch of `tests/canaries.py` looks on in every test; here faults are made that would have
keys and prompts come by. Limits on core files and on what other users may see of the process
come with the systemd unit, and databases and Redis (A42, A47) with their own steps.
"""

import copy
import json
import logging
import pickle
import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.domain.secret import Secret
from proxy.telemetry.log_writer import open_log_writer
from proxy.telemetry.logs import configure_logging
from proxy.upstream.httptools_transport import HttptoolsTransport
from tests.canaries import (
    CLIENT_KEY,
    KEY_MARK,
    PROMPT,
    PROMPT_MARK,
    PROVIDER_KEY,
    WATCH,
    planting,
)
from tests.end_to_end.served import build_config, serving
from tests.fakes import proxy_server
from tests.fakes.proxy_server import build_chunk, build_provider, build_snapshot
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import Recorder, answering
from tests.faults.asking import TAG, asking
from tests.faults.oracle import build_body, build_request, judging

HOSTILE_NAMES = [
    "\x1b[2J\x1b[31mred",
    'm","level":"INFO","message":"all is well"}\n{"a":"',
    "line\nbreak\r\nand\u2028more\u2029",
    "\u202egnp.exe",
    "\u0007\x00\x9b31m",
    "m" * 100_000,
    "\ufeff\u200b",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_a38_a_name_writes_nothing_into_the_log(name: str) -> None:
    """A38: a request is one line of JSON, whatever it asks for; a field has 256 characters."""
    async with asking() as asked:
        outcome = await asked.post(model=name)
        asked.check_refused(outcome, 404, "model_not_found", "model")
    (line,) = asked.judge.log_lines
    assert line["request_id"] == outcome.request_id
    alias = line["alias"] or ""
    assert alias.isprintable()
    assert len(alias) <= 256
    assert line["level"] == "WARNING"


async def test_a38_cookies_and_other_headers_are_not_logged() -> None:
    """A38: a storm of cookies leaves the one line of its request, with nothing of them in it."""
    async with asking() as asked:
        for _ in range(20):
            await asked.post(headers={"Cookie": "storm=\x7f" + "c" * 7000, "X-A": "storm"})
    assert len(asked.judge.log_lines) == 20
    assert "storm" not in json.dumps(asked.judge.log_lines)


def test_a38_a_flood_of_one_event_is_a_few_lines(tmp_path: Path) -> None:
    """A38: of an event that comes a thousand times at once ten are written, the rest counted."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    writer = open_log_writer(str(tmp_path / "log"))
    try:
        configure_logging("INFO", writer)
        for number in range(1000):
            logging.getLogger("aiohttp.server").error("bad request %d", number)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        writer.close()
    assert len((tmp_path / "log").read_text().splitlines()) == 10


def test_a39_a_secret_shows_itself_to_nobody() -> None:
    """A39: printing, formatting, copying out and encoding a secret give stars or an error."""
    provider = build_provider("http://a.test", api_key=Secret(PROVIDER_KEY))
    shown = [
        repr(provider), str(provider.api_key), f"{provider.api_key:>50}", f"{provider.api_key!r}",
        repr(build_snapshot(provider)), repr({"key": provider.api_key}),
    ]  # fmt: skip
    assert KEY_MARK not in "".join(shown)
    assert not hasattr(provider.api_key, "__dict__")
    for leave in (pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.msgpack.encode):
        with pytest.raises(TypeError):
            leave(provider)


def test_a39_a_traceback_shows_no_secret() -> None:
    """A39: a traceback with the values of all variables shows stars."""
    try:
        _fail(Secret(PROVIDER_KEY))
    except ZeroDivisionError as error:
        frames = traceback.TracebackException.from_exception(error, capture_locals=True)
        told = "".join(frames.format())
    assert "key = ***" in told
    assert KEY_MARK not in told


def _fail(key: Secret) -> None:
    raise ZeroDivisionError


async def test_a39_a_fault_of_ours_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A39: an exception whose text holds key and prompt is a type and a place in the log."""

    async def fail(self: HttptoolsTransport, *args: Any) -> Any:
        raise RuntimeError(f"cannot send {CLIENT_KEY} {PROVIDER_KEY} {PROMPT}")

    monkeypatch.setattr(HttptoolsTransport, "open", fail)
    with planting() as found:
        async with asking() as asked:
            asked.judge.may_log_errors = True
            reader, writer = await asked.connect()
            writer.write(build_request(build_body(TAG)))
            failed = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])["error"]
            writer.close()
            asked.judge.allow_unseen()
    assert failed["code"] == "internal_error"
    assert KEY_MARK not in json.dumps(failed)
    (line,) = [line for line in asked.judge.log_lines if "error_type" in line]
    assert line["error_type"] == "RuntimeError"
    # The exception itself was handed to the logging, which is where its text ends.
    assert found
    assert all("an exception that the logger llm_proxy" in each for each in found)


@pytest.mark.parametrize("sent_as", ["api_key", "header"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500])
async def test_a39_a_provider_that_tells_our_key(status: int, sent_as: str) -> None:
    """A39: a provider that repeats the key it was sent does not give it to our clients."""
    # Not like any vendor's key, so that no pattern knows it.
    key = "violet.harbour.lantern"
    told = {"error": {"message": f"the key {key} is bad", "param": key, "code": key, "type": key}}
    script = answering(told, status)
    async with open_raw_upstream(script) as upstream:
        keys = {"api_key": Secret(key)} if sent_as == "api_key" else {"headers": {"X-Key": key}}
        snapshot = build_snapshot(build_provider(upstream.url, **keys))
        async with judging(proxy_server.serving(snapshot)) as judge:
            judge.secrets.append(key)
            outcome = await judge.ask()
            assert outcome.kind == "refused"
            assert key.encode() not in outcome.reply.body


@pytest.mark.parametrize("events", [0, 1])
async def test_a39_a_provider_that_tells_our_key_in_a_stream(events: int) -> None:
    """A39: nor does one that repeats it in an error event, before the first content or behind."""
    key = "violet.harbour.lantern"
    told = {"message": f"{key} is bad", "type": "invalid_request_error", "param": key, "code": key}
    error = b"data: " + json.dumps({"error": told}).encode() + b"\n\n"
    async with open_raw_upstream(Recorder(*[build_chunk("hi")] * events, error)) as upstream:
        snapshot = build_snapshot(build_provider(upstream.url, api_key=Secret(key)))
        async with judging(proxy_server.serving(snapshot)) as judge:
            judge.secrets.append(key)
            outcome = await judge.ask(stream=True)
            assert outcome.kind == ("broken" if events else "refused")
            assert key.encode() not in outcome.reply.body


async def test_a39_a_key_that_a_message_ends_in() -> None:
    """A39: where our cap on a message's length cuts through the key, its start is not told."""
    key = "violet.harbour.lantern"
    told = {"error": {"message": f"{'x' * 490} {key} is bad", "type": "invalid_request_error"}}
    async with open_raw_upstream(answering(told, 400)) as upstream:
        snapshot = build_snapshot(build_provider(upstream.url, api_key=Secret(key)))
        async with judging(proxy_server.serving(snapshot)) as judge:
            outcome = await judge.ask()
    assert outcome.error["message"].endswith("***…")
    assert "violet" not in outcome.error["message"]


def test_a39_nothing_of_a_running_server_shows_a_key(tmp_path: Path) -> None:
    """A39: neither `ps` nor what the process leaves in its state directory shows a key."""
    with serving(tmp_path, build_config()) as served:
        process = Path("/proc") / str(served.program.pid)
        for name in ("cmdline", "comm"):
            assert KEY_MARK.encode() not in (process / name).read_bytes()
        names = [path.name for path in (tmp_path / "state").rglob("*")]
        assert KEY_MARK not in " ".join(names)
    with planting() as found:
        WATCH.see_files(tmp_path)
    assert found == []


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500, 503])
async def test_a40_a_prompt_that_a_provider_repeats_is_not_logged(status: int) -> None:
    """A40: what a provider's error quotes of a prompt is in no line, header, record or metric."""
    quoted = {"error": {"message": f"I know no {PROMPT_MARK}", "type": "x", "code": PROMPT_MARK}}
    with planting() as found:
        async with asking(answering(quoted, status)) as asked:
            outcome = await asked.post()
            assert outcome.kind == "refused"
            record = await asked.judge.read_record(outcome)
            assert PROMPT_MARK.encode() not in msgspec.json.encode(record)
    # A client may read its own words in the error that a provider has for it: nowhere else.
    assert all("the body of an answer" in each for each in found)
    assert PROMPT_MARK not in json.dumps(asked.judge.log_lines)


async def test_a40_a_prompt_in_the_place_of_a_name_is_not_told() -> None:
    """A40: a client that mixes up its fields has its prompt in no log line and no error."""
    async with asking() as asked:
        outcome = await asked.post(model=PROMPT)
        asked.check_refused(outcome, 404, "model_not_found", "model")
        assert PROMPT_MARK.encode() not in outcome.reply.body
    (line,) = asked.judge.log_lines
    assert PROMPT_MARK not in json.dumps(line)


async def test_a40_no_header_tells_of_a_prompt() -> None:
    """A40: an answer's head has ids and names, and its log line counts, and no text."""
    async with asking() as asked:
        outcome = await asked.post(messages=[{"role": "user", "content": PROMPT}])
        assert PROMPT_MARK.encode() not in outcome.reply.head
    (line,) = asked.judge.log_lines
    assert PROMPT_MARK not in json.dumps(line)
