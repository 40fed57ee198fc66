"""
Operational logging: what the server says about itself, in the same JSON lines as requests.

Here structlog and the standard library's loggers are led into one `LogWriter`, and here is
decided what such a line may hold: text is redacted, an exception is its type and place
(docs/logs.md). The request log is in `request_log.py`. Commands and `wiring.py` call
`configure_logging` once at start.

Say something with `structlog.get_logger("llm_proxy.config").warning("...", name=value)`.
"""

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from proxy.telemetry.error_place import read_error_place, read_error_type
from proxy.telemetry.flood_gate import FloodGate
from proxy.telemetry.log_writer import LogWriter
from proxy.telemetry.redaction import redact

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
OWN_LOGGERS = "llm_proxy"
_SERVER_MESSAGES = {
    True: "A client sent what is not valid HTTP",
    False: "The HTTP server failed to handle a request",
}


def configure_logging(level: str, writer: LogWriter) -> None:
    """
    Lead structlog and the standard library's loggers into `writer`, from `level` on.

    May be called again, for a new level or writer. aiohttp's access log is switched off: it
    prints query strings, and each request has its line already.

    Args:
        level: one of DEBUG, INFO, WARNING, ERROR, CRITICAL, in any case.
        writer: where lines go; stays the caller's to flush and close.

    Raises:
        ValueError: `level` is none of these.
    """
    name = level.upper()
    if name not in LEVELS:
        raise ValueError(f"log_level '{redact(level)}' is unknown; use one of {', '.join(LEVELS)}.")
    number = logging.getLevelNamesMapping()[name]
    lines = _LineWriter(writer)
    structlog.configure(
        processors=[lines.take_event],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_NamedLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_LineHandler(lines)]
    # Below WARNING, libraries print what they send and receive; only our own are asked for that.
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger(OWN_LOGGERS).setLevel(number)
    for owned in ("aiohttp.server", "asyncio"):
        logger = logging.getLogger(owned)
        logger.handlers.clear()
        logger.setLevel(max(number, logging.WARNING))
        logger.propagate = True
    access = logging.getLogger("aiohttp.access")
    access.handlers.clear()
    access.disabled = True


class _LineWriter:
    """Builds operational lines and hands them to the log writer."""

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._gate = FloodGate()

    def take_event(self, logger: Any, method: str, event: Mapping[str, Any]) -> Any:
        """Write what was said to a structlog logger; the last processor of the chain."""
        fields = dict(event)
        message = _clean_value(fields.pop("event", ""))
        fields = _describe_error(_read_error(fields.pop("exc_info", None))) | fields
        level = {"exception": "ERROR", "warn": "WARNING"}.get(method, method.upper())
        self.write(level, logger.name, str(message), fields)
        raise structlog.DropEvent  # Written already: nothing is left for the wrapped logger.

    def write(self, level: str, name: str, message: str, fields: Mapping[str, Any]) -> None:
        """Write one line unless the same event was written too often just now."""
        held = self._gate.admit((name, message), time.monotonic())
        if held is None:
            return
        now_at = time.time()
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_at))
        line: dict[str, Any] = {
            "timestamp": f"{second}.{int(now_at % 1 * 1000):03d}Z",
            "level": level,
            "logger": name,
            "message": message,
        }
        for key, value in fields.items():
            line.setdefault(redact(str(key)), _clean_value(value))
        if held:
            line["suppressed"] = held
        self._writer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


class _NamedLogger:
    """What structlog wraps: nothing but the logger's name."""

    def __init__(self, name: str = OWN_LOGGERS) -> None:
        self.name = name


class _LineHandler(logging.Handler):
    """Turns records of the standard library's loggers into lines."""

    def __init__(self, lines: _LineWriter) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; its exception's text and stack are left out."""
        error = _read_error(record.exc_info)
        fields = _describe_error(error)
        request_id = getattr(record, "request_id", None)
        if isinstance(request_id, str):
            fields["request_id"] = redact(request_id)
        level = record.levelname
        if record.name == "aiohttp.server":
            # Its texts quote headers and paths, keys among them.
            is_clients_fault = error is not None and type(error).__module__.endswith(
                "http_exceptions"
            )
            message = _SERVER_MESSAGES[is_clients_fault]
            level = "WARNING" if is_clients_fault else level
        else:
            # asyncio appends the repr of tasks and exceptions, from the second line on.
            message = redact(_format_message(record).partition("\n")[0])
        self._lines.write(level, redact(record.name), message, fields)


def _format_message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        # A library's template and arguments do not fit: the template alone says enough.
        return str(record.msg)


def _read_error(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _describe_error(error: BaseException | None) -> dict[str, Any]:
    if error is None:
        return {}
    described: dict[str, Any] = {
        "error_type": read_error_type(error),
        "error_at": read_error_place(error),
    }
    if error.__cause__ is not None:
        described["error_cause"] = read_error_type(error.__cause__)
    return described


def _clean_value(value: object) -> object:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        # orjson refuses what does not fit 64 bits.
        return value if -(2**63) <= value < 2**64 else str(value)[:64]
    if isinstance(value, BaseException):
        return read_error_type(value)
    return redact(value if isinstance(value, str) else str(value))
