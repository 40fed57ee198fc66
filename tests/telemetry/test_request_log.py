"""The one JSON line of a request."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.domain.exchange import AttemptRecord, Ending
from proxy.telemetry.log_writer import LogWriter
from proxy.telemetry.request_log import RequestLog
from tests.telemetry.records import STARTED_AT, build_attempt, build_record

CANARY = "cAnArY7f3K9qLm2XwZ8rT5vB1nD4"


class Lines(LogWriter):
    """A writer that makes its lines at once, and keeps them."""

    def __init__(self) -> None:
        super().__init__(1)
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)

    def write_later(self, make_line: Callable[[], bytes]) -> None:
        self.lines.append(make_line())


def _write(level: str = "INFO", **changes: Any) -> list[dict[str, Any]]:
    lines = Lines()
    RequestLog(lines, level).request_ended(build_record(**changes))
    return [orjson.loads(line) for line in lines.lines]


def test_exact_shape() -> None:
    """A completed stream gives exactly these bytes: 003's fields first, then ours."""
    lines = Lines()
    RequestLog(lines).request_ended(build_record())

    expected = (
        b'{"timestamp":"2023-11-14T22:13:21.500Z","level":"INFO","logger":"llm_proxy.requests",'
        b'"request_id":"req_01890a5d-ac96-774b-bcce-b302099a8057",'
        b'"message":"Request completed successfully","provider":"alpha","model":"small",'
        b'"tokens":150,"duration":1.25,"status_code":200,"endpoint":"/chat/completions",'
        b'"alias":"chat","stream":true,"outcome":"completed","attempts":1,"tried":[],"ttft_s":0.5,'
        b'"prompt_tokens":100,"completion_tokens":50,"error_code":null,"detail":null,'
        b'"route_reason":"priority","route_order":["alpha/small","beta/small"],"fallback":null,'
        b'"key_id":"key_0123456789ab","organization_id":"default",'
        b'"usage_source":"reported","anomalies":[],'
        b'"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}\n'
    )
    assert [expected] == lines.lines


def test_attempts_write_nothing() -> None:
    """Only the end of a request writes a line."""
    lines = Lines()
    log = RequestLog(lines)
    log.attempt_started("alpha")
    log.attempt_ended(build_attempt())

    assert lines.lines == []


def test_what_is_unknown_is_null() -> None:
    """A request that was refused before routing has nulls, never zeros, for what did not happen."""
    (line,) = _write(
        status=401,
        ending="failed",
        alias=None,
        provider=None,
        model=None,
        usage=None,
        ttft_s=None,
        attempts=(),
        key_id=None,
        organization_id=None,
        route_reason=None,
        route_order=(),
        trace_id=None,
        error_code="invalid_api_key",
    )

    assert line["route_order"] == []
    for name in (
        "fallback",
        "provider",
        "model",
        "tokens",
        "prompt_tokens",
        "ttft_s",
        "alias",
        "trace_id",
    ):
        assert line[name] is None
    assert line["attempts"] == 0
    assert line["error_code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("ending", "status", "level", "message"),
    [
        ("completed", 200, "INFO", "Request completed successfully"),
        ("client_closed", 499, "INFO", "Client closed the request"),
        ("interrupted", 503, "WARNING", "Request interrupted by shutdown"),
        ("failed", 400, "WARNING", "Request failed"),
        ("failed", 429, "WARNING", "Request failed"),
        ("failed", 502, "ERROR", "Request failed"),
        ("failed", 200, "ERROR", "Request failed"),
    ],
)
def test_level_tells_whose_fault_it_is(
    ending: Ending, status: int, level: str, message: str
) -> None:
    """Faults of clients warn, ours and providers' are errors, also those told inside a stream."""
    (line,) = _write(ending=ending, status=status)

    assert (level, message) == (line["level"], line["message"])


@pytest.mark.parametrize(("level", "count"), [("debug", 1), ("INFO", 1), ("WARNING", 0)])
def test_level_filters(level: str, count: int) -> None:
    """A completed request is written from INFO down."""
    assert count == len(_write(level))


def test_timestamp_is_the_end_in_utc() -> None:
    """The time is that of the request's end, also across a second and for many lines."""
    lines = Lines()
    log = RequestLog(lines)
    for offset in (0.0, 0.125, 1.5, 0.0):
        log.request_ended(build_record(started_at=STARTED_AT + offset, duration_s=0.0))

    assert [orjson.loads(line)["timestamp"][-7:] for line in lines.lines] == [
        "20.250Z",
        "20.375Z",
        "21.750Z",
        "20.250Z",
    ]


@pytest.mark.parametrize(
    "field",
    ["request_id", "alias", "model", "provider", "endpoint", "error_code", "error_detail",
     "route_reason", "fallback", "key_id", "organization_id", "trace_id"],
)  # fmt: skip
@pytest.mark.parametrize("text", [f"sk-{CANARY}", f"Bearer {CANARY}\r\n\x1b[2J\u202e\ud800"])
def test_no_field_shows_a_key_or_breaks_the_line(field: str, text: str) -> None:
    """A key or control characters in any text field come out masked, on one line of JSON."""
    lines = Lines()
    RequestLog(lines).request_ended(build_record(**{field: text, "route_order": (text,)}))

    (line,) = lines.lines
    assert CANARY.encode() not in line
    assert line.count(b"\n") == 1
    assert b"\\\\r" in line or b"***" in line
    assert b"\x1b" not in line


def test_long_fields_are_cut() -> None:
    """A model name of a megabyte takes 256 characters of the log."""
    (line,) = _write(alias="m" * 1_000_000, request_id="r" * 1_000_000)

    assert 256 == len(line["alias"]) == len(line["request_id"])


def test_every_field_is_documented() -> None:
    """The document has a row for each field of the line, in the line's order."""
    document = Path(__file__).parents[2] / "docs" / "logs.md"
    section = document.read_text().partition("## Request lines")[2].partition("\n## ")[0]

    (line,) = _write()
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(line)


def test_who_was_asked_in_vain_is_named() -> None:
    """Each attempt that failed stands in the line with its outcome; those that did not do not."""
    (line,) = _write(
        attempts=(
            AttemptRecord("a", "m1", "upstream_server_error", 0.1),
            AttemptRecord("b", "m2", "rate_limit_exceeded", 0.1),
            AttemptRecord("c", "m3", "ok", 0.1),
        )
    )
    assert line["tried"] == ["a/m1 upstream_server_error", "b/m2 rate_limit_exceeded"]
