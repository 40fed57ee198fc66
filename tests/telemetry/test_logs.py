"""Operational lines of structlog and of the standard library's loggers."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from typing import Any

import aiohttp
import orjson
import pytest
import structlog
from aiohttp import web

from proxy.domain.errors import UpstreamRejected
from proxy.domain.secret import Secret
from proxy.telemetry import logs
from proxy.telemetry.logs import configure_logging
from tests.telemetry.test_request_log import Lines

CANARY = "cAnArY7f3K9qLm2XwZ8rT5vB1nD4"
OWNED = ("aiohttp.server", "aiohttp.access", "asyncio", "llm_proxy")


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Lines of a process that logs from DEBUG on; all loggers are put back in the end."""
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, OWNED)]
    before = [(each, each.handlers[:], each.level, each.disabled) for each in loggers]
    lines = Lines()
    configure_logging("debug", lines)
    yield lines
    structlog.reset_defaults()
    for each, handlers, level, disabled in before:
        each.handlers[:] = handlers
        each.setLevel(level)
        each.disabled = disabled


def _read(lines: Lines) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in lines.lines]


def _raise_and_log(error: Exception) -> None:
    try:
        raise error
    except type(error):
        structlog.get_logger("llm_proxy.test").exception("It failed", provider="alpha")


def test_shape_of_a_line(lines: Lines) -> None:
    """A structlog event becomes timestamp, level, logger, message, then its own fields."""
    structlog.get_logger("llm_proxy.config").info("Configuration reloaded", generation=3)

    (line,) = _read(lines)
    assert list(line) == ["timestamp", "level", "logger", "message", "generation"]
    assert line["level"] == "INFO"
    assert line["logger"] == "llm_proxy.config"
    assert line["message"] == "Configuration reloaded"
    assert line["generation"] == 3
    assert line["timestamp"].endswith("Z")
    assert len(line["timestamp"]) == 24


def test_standard_loggers_have_the_same_shape(lines: Lines) -> None:
    """A record of the standard library's logging becomes the same kind of line."""
    logging.getLogger("llm_proxy.upstream").debug("Pool of %s is %d", "alpha", 3)

    (first,) = _read(lines)
    assert list(first) == ["timestamp", "level", "logger", "message"]
    assert (first["level"], first["message"]) == ("DEBUG", "Pool of alpha is 3")


def test_a_fault_can_be_found_by_its_request(lines: Lines) -> None:
    """A line about a request carries the id that its client was given."""
    logging.getLogger("llm_proxy.pipeline").error("It failed", extra={"request_id": "req_1"})

    (line,) = _read(lines)
    assert line["request_id"] == "req_1"


def test_misfit_arguments_do_not_lose_the_line(lines: Lines) -> None:
    """A library's message whose arguments do not fit is written as its bare template."""
    (handler,) = (h for h in logging.getLogger().handlers if type(h).__module__ == logs.__name__)
    handler.handle(logging.LogRecord("lib", logging.ERROR, "f", 1, "mis%d", ("fit",), None))

    assert [line["message"] for line in _read(lines)] == ["mis%d"]


def test_level_is_kept(lines: Lines) -> None:
    """From WARNING on, less is not written, by either kind of logger."""
    configure_logging("WARNING", lines)
    for logger in (structlog.get_logger("llm_proxy.a"), logging.getLogger("llm_proxy.b")):
        logger.info("no")
        logger.warning("yes")

    assert [line["message"] for line in _read(lines)] == ["yes", "yes"]


def test_libraries_stay_quiet_below_warning(lines: Lines) -> None:
    """Even at DEBUG, what a library says about its own doings is not written."""
    logging.getLogger("some.library").debug("sent Authorization")
    logging.getLogger("asyncio").debug("Using selector")

    assert lines.lines == []


def test_unknown_level_says_what_to_use(lines: Lines) -> None:
    """A level that does not exist is refused with the names of those that do."""
    with pytest.raises(ValueError, match="'LOUD' is unknown; use one of DEBUG, INFO"):
        configure_logging("LOUD", lines)


def test_exception_is_type_and_place(lines: Lines) -> None:
    """Of an exception its type, cause and place are written, never its text."""
    error = ValueError(f"cannot parse sk-{CANARY} of the prompt")
    error.__cause__ = KeyError("prompt")
    _raise_and_log(error)

    (line,) = _read(lines)
    assert (line["level"], line["message"], line["provider"]) == ("ERROR", "It failed", "alpha")
    assert (line["error_type"], line["error_cause"]) == ("ValueError", "KeyError")
    assert line["error_at"].startswith("test_logs.py:")
    assert line["error_at"].endswith(":_raise_and_log")
    assert b"prompt" not in lines.lines[0]


def test_upstream_text_in_our_own_error_is_left_out(lines: Lines) -> None:
    """An upstream's message reaches the client in our error, but not the log."""
    _raise_and_log(UpstreamRejected(400, "your prompt 'tell me' is too long"))

    assert b"tell me" not in lines.lines[0]
    assert _read(lines)[0]["error_type"] == "proxy.domain.errors.UpstreamRejected"


def test_no_value_shows_a_secret(lines: Lines) -> None:
    """Secrets, keys in texts, nested values and errors as values come out without the key."""
    key = f"sk-{CANARY}"
    structlog.get_logger("llm_proxy.test").error(
        f"refused {key}",
        secret=Secret(CANARY),
        text=f"Authorization: Bearer {CANARY}",
        nested={"api_key": CANARY, "list": [key]},
        error=ValueError(key),
        many=2**70,
        share=0.5,
        nothing=None,
        yes=True,
    )

    (line,) = _read(lines)
    assert CANARY.encode() not in lines.lines[0]
    assert line["secret"] == "***"
    assert line["error"] == "ValueError"
    assert (str(2**70), 0.5, None, True) == (
        line["many"],
        line["share"],
        line["nothing"],
        line["yes"],
    )


def test_floods_are_summed_up(lines: Lines) -> None:
    """A hundred equal events within a moment give ten lines."""
    for _ in range(100):
        structlog.get_logger("llm_proxy.test").warning("Redis is away")

    assert len(lines.lines) == 10


async def test_broken_request_shows_no_header(lines: Lines, unused_tcp_port: int) -> None:
    """A header that aiohttp refuses is logged as a client's fault, without any of its bytes."""

    async def answer(request: web.Request) -> web.Response:
        raise RuntimeError(f"sk-{CANARY}")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)
        writer.write(
            f"GET /?api_key={CANARY} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {CANARY}\x00\r\n\r\n".encode()
        )
        await reader.read()
        writer.close()
        await writer.wait_closed()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{unused_tcp_port}/?key={CANARY}") as response,
        ):
            assert response.status == 500
    finally:
        await runner.cleanup()

    assert CANARY.encode() not in b"".join(lines.lines)
    parse, handler = _read(lines)
    assert (
        parse["level"],
        parse["message"],
    ) == ("WARNING", "A client sent what is not valid HTTP")
    assert (
        handler["level"],
        handler["message"],
    ) == ("ERROR", "The HTTP server failed to handle a request")
    assert (handler["error_type"], handler["logger"]) == ("RuntimeError", "aiohttp.server")
    assert handler["error_at"].endswith(":answer")


async def test_lost_task_shows_no_text(lines: Lines) -> None:
    """asyncio's report of a task whose exception nobody took holds its first line and the type."""

    async def fail() -> None:
        raise ValueError(f"prompt {CANARY}")

    task = asyncio.get_running_loop().create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()

    (line,) = _read(lines)
    assert line["message"] == "Task exception was never retrieved"
    assert line["error_type"] == "ValueError"
    assert CANARY.encode() not in lines.lines[0]


def test_access_log_is_off(lines: Lines) -> None:
    """aiohttp's access log, which prints query strings, writes nothing."""
    logging.getLogger("aiohttp.access").critical("GET /?api_key=x")

    assert lines.lines == []
