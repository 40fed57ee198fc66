"""What the service's log must say after the campaign of chaos, and what it must not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from campaigns.ground.chaos.load import Seen

REQUESTS = "llm_proxy.requests"
LOUD = ("ERROR", "CRITICAL")
OPENS, CLOSES, JOINS = "redis OPEN", "redis CLOSED", "redis is joined"
MASKED = "upstream_rejected"

Line = Mapping[str, Any]


def read_log(path: Path, secrets: Sequence[str]) -> tuple[list[Line], list[str]]:
    """Return every line of the log, and which secrets stand in it."""
    lines, told = [], []
    with path.open("rb") as file:
        for text in file:
            told += [secret for secret in secrets if secret.encode() in text]
            lines.append(msgspec.json.decode(text))
    return lines, told


def check_requests(lines: Sequence[Line], seen: Mapping[str, Seen], left: int) -> list[str]:
    """
    Return what is wrong with the lines of requests.

    Args:
        lines: the whole log.
        seen: by id, what each client has seen that stayed to the end.
        left: how many clients have left before it, whose lines say so or that they were answered.
    """
    complaints = []
    of_requests = [line for line in lines if line["logger"] == REQUESTS]
    counts = Counter(line["request_id"] for line in of_requests)
    complaints += [f"{count} lines of one request" for count in counts.values() if count > 1]
    known = {line["request_id"]: line for line in of_requests}
    for request_id, each in seen.items():
        line = known.pop(request_id, None)
        if line is None:
            complaints.append(f"no line of a request with status {each.status}")
        elif (difference := _compare(line, each)) is not None:
            complaints.append(difference)
    if len(known) != left:
        complaints.append(f"{len(known)} lines of {left} requests whose clients left")
    return complaints


def check_redis(lines: Sequence[Line], workers: int, troubles: int) -> list[str]:
    """
    Return what is wrong with the lines about Redis: one at most for each change of each worker.

    Args:
        lines: the whole log.
        workers: how many processes there were.
        troubles: how often Redis was away.
    """
    counts: Counter[str] = Counter()
    complaints = []
    for line in lines:
        message = line["message"]
        if message in (OPENS, CLOSES, JOINS):
            counts[message] += 1
            away = counts[OPENS] - counts[CLOSES]
            if not 0 <= away <= workers:
                complaints.append(f"{message} by {away} of {workers} workers")
    if counts[JOINS] != workers:
        complaints.append(f"{counts[JOINS]} of {workers} workers have ever joined Redis")
    if counts[OPENS] != counts[CLOSES]:
        complaints.append(f"{counts[OPENS]} times away, {counts[CLOSES]} times back")
    if not 0 < counts[OPENS] <= workers * troubles:
        complaints.append(f"{counts[OPENS]} times away, with {troubles} troubles")
    return complaints


def find_loud(lines: Sequence[Line]) -> list[str]:
    """Return what the service has said of faults of its own."""
    return [
        f"{line['message']} {line.get('error_type', '')} {line.get('error_at', '')}"
        for line in lines
        if line["logger"] != REQUESTS and line["level"] in LOUD
    ]


def _compare(line: Line, seen: Seen) -> str | None:
    outcome = "completed" if seen.kind == "answer" else "failed"
    told = (line["status_code"], line["outcome"], line["error_code"])
    if told[:2] == (seen.status, outcome) and told[2] in (seen.code, MASKED):
        if seen.kind == "refused" or line["provider"] == seen.provider:
            return None
        return f"an answer of {seen.provider}, logged as that of {line['provider']}"
    return f"{seen.status}, {seen.kind}, {seen.code}; logged as {told}"
