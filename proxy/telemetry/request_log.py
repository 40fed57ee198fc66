"""
The request log: one JSON line for each request, however it ended.

Here lives the line's shape (docs/logs.md); `log_writer.py` carries it away. `wiring.py`
makes one per worker.
"""

import logging
import re
import time
from functools import partial

import orjson

from proxy.domain.exchange import (
    AttemptRecord,
    ConnectionFault,
    Ending,
    HandoverReason,
    RequestRecord,
)
from proxy.telemetry.log_writer import LogWriter
from proxy.telemetry.redaction import redact, redact_name

LOGGER = "llm_proxy.requests"

_MESSAGES: dict[Ending, str] = {
    "completed": "Request completed successfully",
    "failed": "Request failed",
    "client_closed": "Client closed the request",
    "interrupted": "Request interrupted by shutdown",
}
_NOT_FAILED = ("ok", "client_closed", "interrupted")
# Ids of our own making; anything else came from a client and is redacted.
_is_plain_id = re.compile(r"(?:[a-z]{1,8}_)?[0-9a-f][0-9a-f-]{3,63}").fullmatch


class RequestLog:
    """Write one line per request whose level passes; an `Observer`."""

    __slots__ = ("_least", "_second", "_second_text", "_writer")

    def __init__(self, writer: LogWriter, level: str = "INFO") -> None:
        self._writer = writer
        self._least = logging.getLevelNamesMapping()[level.upper()]
        self._second = -1
        self._second_text = ""

    def attempt_started(self, provider: str) -> None:
        """Write nothing: attempts are summed up in the request's line."""

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        """Write nothing: attempts are summed up in the request's line."""

    def failed_over(self, from_provider: str, to_provider: str, reason: str) -> None:
        """Write nothing: attempts are summed up in the request's line."""

    def retried(self, provider: str) -> None:
        """Write nothing: attempts are summed up in the request's line."""

    def connection_failed(self, fault: ConnectionFault) -> None:
        """Write nothing: a flood of connections would be a flood of lines; they are counted."""

    def connection_handed_over(self, reason: HandoverReason) -> None:
        """Write nothing: the same."""

    def request_ended(self, record: RequestRecord) -> None:
        """Have the request's one line written; the writer's thread makes it."""
        level, level_name = _decide_level(record)
        if level >= self._least:
            self._writer.write_later(partial(self._build_line, record, level_name))

    def _build_line(self, record: RequestRecord, level_name: str) -> bytes:
        usage = record.usage
        line = {
            "timestamp": self._format_time(record.started_at + record.duration_s),
            "level": level_name,
            "logger": LOGGER,
            "request_id": _clean_id(record.request_id),
            "message": _MESSAGES[record.ending],
            "provider": redact_name(record.provider),
            "model": redact_name(record.model),
            "tokens": None if usage is None else usage.total_tokens,
            "duration": round(record.duration_s, 6),
            "status_code": record.status,
            "endpoint": redact_name(record.endpoint),
            "alias": redact_name(record.alias),
            "stream": record.streams,
            "outcome": record.ending,
            "attempts": len(record.attempts),
            "tried": _list_failed(record.attempts),
            "ttft_s": None if record.ttft_s is None else round(record.ttft_s, 6),
            "prompt_tokens": None if usage is None else usage.input_tokens,
            "completion_tokens": None if usage is None else usage.output_tokens,
            "error_code": redact_name(record.error_code),
            "detail": None if record.error_detail is None else redact(record.error_detail),
            "route_reason": redact_name(record.route_reason),
            "route_order": [redact_name(each) for each in record.route_order],
            "fallback": redact_name(record.fallback),
            "key_id": redact_name(record.key_id),
            "organization_id": redact_name(record.organization_id),
            "usage_source": None if usage is None else usage.source,
            "anomalies": record.anomalies,
            "trace_id": None if record.trace_id is None else _clean_id(record.trace_id),
        }
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)

    def _format_time(self, at: float) -> str:
        second = int(at)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{int((at - second) * 1000):03d}Z"


def _decide_level(record: RequestRecord) -> tuple[int, str]:
    if record.ending in {"completed", "client_closed"}:
        return logging.INFO, "INFO"
    if record.ending == "interrupted" or 400 <= record.status < 500:
        return logging.WARNING, "WARNING"
    # A failure behind a 200 was told inside the stream: no less an error.
    return logging.ERROR, "ERROR"


def _list_failed(attempts: tuple[AttemptRecord, ...]) -> list[str]:
    """Return who was asked in vain, and what came of it."""
    if len(attempts) == 1 and attempts[0].outcome in _NOT_FAILED:
        return []
    return [
        f"{redact_name(each.provider)}/{redact_name(each.model)} {redact_name(each.outcome)}"
        for each in attempts
        if each.outcome not in _NOT_FAILED
    ]


def _clean_id(text: str) -> str:
    return text if _is_plain_id(text) else redact(text)
