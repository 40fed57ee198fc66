"""
Keys and a prompt that nothing may ever print, and the watch that finds them if something does.

Every fake and every configuration of the tests uses these values. `conftest.py` has a `Watch`
look at every way out of the product while each test runs, and fails the test in which a canary
comes by: log lines, records of `logging`, metrics, what a server writes to its clients,
warnings, what is printed here and by child processes, and at the end every file that was left
below pytest's temporary directory. What a child process writes to its clients is not seen here;
its log and its files are.
"""

import asyncio.selector_events
import logging
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.web_protocol import RequestHandler

from proxy.telemetry.log_writer import LogWriter
from proxy.telemetry.metrics import Metrics

# The mark stands at both ends of each key, so that a key which was cut is found as well.
KEY_MARK = "c4nary"
CLIENT_KEY = "sk-c4nary-client-7f3a9d2c41e85b60c8d4-c4nary"
ADMIN_KEY = "sk-c4nary-admin-e6b19f04d27c8a35b1f2-c4nary"
PROVIDER_KEY = "sk-c4nary-provider-91be02f6d7a34c58-c4nary"
WRONG_KEY = "sk-c4nary-wrong-5d20c7e19a8b46f3-c4nary"
PROMPT_MARK = "marmalade"
PROMPT = "Tell nobody about the marmalade in the lighthouse."
SECRETS = (KEY_MARK, PROMPT_MARK)
"""What no log, metric, error, page or file may ever hold."""

OWN_FILES = ("config.yaml", "config.yml", "config.json", ".env", "dot.env", "key")
"""Names of files in which tests write keys themselves, for a program to read."""
RAN_BEFORE = "before the first test"

_KEY, _PROMPT = KEY_MARK.encode(), PROMPT_MARK.encode()
_STATUS = "status of the answer under way"
_FIRST_ERROR = 400
_PLAIN = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime"))
"""What every record has."""


class Watch:
    """Looks at bytes and texts that leave the product, and keeps what it has found."""

    def __init__(self) -> None:
        self.test = RAN_BEFORE
        self.findings: list[str] = []

    def see(self, where: str, data: bytes | str, *, may_hold_prompt: bool = False) -> None:
        """Note a finding if a canary is in what left the product by this way."""
        data = data.encode("utf-8", "replace") if isinstance(data, str) else data
        if _KEY in data:
            self.note(f"a key in {where}")
        if not may_hold_prompt and _PROMPT in data:
            self.note(f"a prompt in {where}")

    def see_answer(self, status: int, data: bytes) -> int:
        """
        Look at what a server writes to its client, and return the status of the answer.

        A prompt may come back in the body of a success, but neither in a header, nor in the body
        of an error, nor in an error that is told in a stream.

        Args:
            status: of the answer that was begun last on this connection.
            data: one write: a head, a piece of a body, or both.
        """
        body = data
        if data.startswith(b"HTTP/1."):
            head, _, body = data.partition(b"\r\n\r\n")
            status = int(data[9:12])
            self.see("the head of an answer", head)
        is_error = status >= _FIRST_ERROR or b'data: {"error"' in body
        self.see("the body of an answer", body, may_hold_prompt=not is_error)
        return status

    def see_record(self, record: logging.LogRecord) -> None:
        """Look at a record of `logging`: its message, its extra fields, its exceptions' texts."""
        self.see(f"a record of the logger {record.name}", record.getMessage())
        extra = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        if extra:
            self.see(f"an extra field of the logger {record.name}", repr(extra))
        error = record.exc_info[1] if record.exc_info else None
        while error is not None:
            self.see(f"an exception that the logger {record.name} was given", str(error))
            error = error.__cause__ or error.__context__

    def see_files(self, folder: Path) -> None:
        """Look at every file below a folder but those that hold keys by their purpose."""
        for path in sorted(folder.rglob("*")):
            if path.name not in OWN_FILES and path.is_file() and not path.is_symlink():
                self.see(f"the file {path.relative_to(folder)}", path.read_bytes())

    def note(self, what: str) -> None:
        """Keep one finding, with the test that was running."""
        self.findings.append(f"{what}, during {self.test}")

    def take_findings(self, test: str = "") -> list[str]:
        """Return what was found during one test, or all there is, and forget it."""
        found = [each for each in self.findings if each.endswith(test)]
        self.findings[:] = [each for each in self.findings if not each.endswith(test)]
        return found


WATCH = Watch()
"""The one that looks on while tests run."""


@contextmanager
def planting() -> Iterator[list[str]]:
    """Collect what the watch finds within the block, which does not fail the test."""
    before, WATCH.findings = WATCH.findings, []
    planted = WATCH.findings
    try:
        yield planted
    finally:
        WATCH.findings = before


def install(watch: Watch) -> Callable[[], None]:
    """Stand at every way out of this process; the function that is returned goes away again."""
    patch = pytest.MonkeyPatch()

    def stand_at(owner: type, name: str, look: Callable[..., None]) -> None:
        """Have `look` see each call's arguments, and then its result where it asks for one."""
        original = getattr(owner, name)

        def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
            look(self, *args)
            return original(self, *args, **kwargs)

        patch.setattr(owner, name, watched)

    def read_after(owner: type, name: str, look: Callable[[Any], None]) -> None:
        original = getattr(owner, name)

        def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            look(result)
            return result

        patch.setattr(owner, name, watched)

    def look_at_write(transport: Any, data: Any) -> None:
        if isinstance(transport.get_protocol(), RequestHandler):
            vars(transport)[_STATUS] = watch.see_answer(
                vars(transport).get(_STATUS, 0), bytes(data)
            )

    def look_at_writes(transport: Any, parts: Any) -> None:
        look_at_write(transport, b"".join(parts))

    def look_at_output(streams: Any) -> None:
        for name, stream in zip(("output", "error output"), streams, strict=True):
            watch.see(f"the {name} of a child process", stream or b"")

    transport = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    stand_at(LogWriter, "write", lambda _, line: watch.see("a log line", line))
    stand_at(logging.Logger, "handle", lambda _, record: watch.see_record(record))
    stand_at(transport, "write", look_at_write)
    stand_at(transport, "writelines", look_at_writes)
    read_after(Metrics, "render", lambda rendered: watch.see("the metrics", rendered[0]))
    read_after(subprocess.Popen, "communicate", look_at_output)
    return patch.undo
