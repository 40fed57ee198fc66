"""
The oracle: what must hold after every fault, whatever the fault was (the catalogue's §2).

A test of a row reads: arrange the fault, ask, assert the outcome. The oracle does the rest:

    async def test_reset_after_content() -> None:
        \"\"\"U7: a reset after content is told in the stream.\"\"\"
        async with (
            open_raw_upstream(script) as upstream,
            judging(proxying(upstream.url, clocks=Clocks(idle_s=0.1))) as judge,
        ):
            outcome = await judge.ask(stream=True)
        assert outcome.verdict == ("broken", 200, "upstream_disconnected")

`judging` takes what would be written behind `async with` to get a ProxyServer, opens it, and
when the block ends checks, closes it, and checks again:

(a) each request ended in exactly one way that may be (`raw_client.py` judges each reply);
(b) each has exactly one record and one log line under an id of its own, and they say what the
    client saw; attempts that began have ended, and stand in the record of one request;
(c) no answer holds bytes of another: `ask` puts a tag into each prompt, upstreams that repeat
    it (`fault_upstream.py`, `read_tag`) are held to it; where one of several providers has put its
    number into it (`mark_tag`), it is the one that the record says has answered;
(d) tasks, descriptors, connections of the pools, slots of their caps, in-flight slots, permits of
    breakers, budgets of repetitions and the gauge of active connections are back to where they
    were within 5 s;
(e) no key, prompt or secret of an upstream stands in a log line, record, metric, response
    header or error.

What else a test may say: `judge.ask_raw(bytes)` for a request of its own bytes,
`judge.expect_left(n)` for n requests whose clients left before their end,
`judge.allow_unseen(n)` for n requests that other clients made, `judge.secrets.append(text)`
for one more canary, `judge.may_log_errors = True` where the log may hold an error of ours.
"""

import asyncio
import logging
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from proxy.domain.exchange import RequestRecord
from proxy.pipeline.board import Board
from proxy.stores.memory_breakers import MemoryBreakers
from proxy.telemetry.log_writer import LogWriter, open_log_writer
from proxy.telemetry.logs import configure_logging
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.observer import ManyObservers
from proxy.telemetry.request_log import LOGGER, RequestLog
from tests.canaries import KEY_MARK, PROMPT, PROMPT_MARK
from tests.fakes.proxy_server import KEY, ProxyServer
from tests.faults.raw_client import Outcome, judge_reply, send
from tests.leaks import leaving_nothing
from tests.upstream.pools import count_busy, count_free_slots, is_over_http

UPSTREAM_WORDS = "row 17 of users is locked by"
UPSTREAM_SECRET = f"canary-upstream-3f9c1d77: {UPSTREAM_WORDS} sk-live-0a1b2c3d4e5f6a7b"
WITHIN_S = 5.0
SOURCES = "abc"
"""Names of providers that mark their answers, by number."""
_OWNED_LOGGERS = ("", "aiohttp.server", "aiohttp.access", "asyncio", "llm_proxy")
_TESTS = str(Path(__file__).parents[1])


class Judge:
    """Asks a proxy, and keeps what it has to be held to."""

    def __init__(self, server: ProxyServer) -> None:
        self.server = server
        self.outcomes: list[Outcome] = []
        # Words alone, too: the key among them is masked by whatever lets the rest through.
        self.secrets = [KEY_MARK, PROMPT, PROMPT_MARK, UPSTREAM_WORDS, "sk-live-0a1b"]
        self.may_log_errors = False
        self.log_lines: list[dict[str, Any]] = []
        """Every line of the log; complete once the block has ended."""
        self._tags: dict[str, bytes] = {}
        self._asked = 0
        self._left = 0
        self._unseen = 0
        self._unrecorded = 0

    async def ask(
        self,
        *,
        path: str = "/v1/chat/completions",
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Outcome:
        """Send a chat request for the model `m` (or any other, by `fields`); return its outcome."""
        self._asked += 1
        tag = f"tag-{self._asked:08d}".encode()
        body = build_body(tag, **fields)
        outcome = await self.ask_raw(build_request(body, path, headers))
        self._tags[outcome.request_id] = tag
        return outcome

    async def ask_untagged(self, **fields: Any) -> Outcome:
        """Ask as `ask` does where the upstream cannot repeat the tag (its answer is packed)."""
        return await self.ask_raw(build_request(build_body(b"tag-77777777", **fields)))

    async def ask_raw(self, request: bytes, *, is_recorded: bool = True) -> Outcome:
        """Send bytes as they are and return the outcome of the one reply that they get."""
        (outcome,) = await self.ask_many(request, 1, is_recorded=is_recorded)
        return outcome

    async def ask_many(
        self, requests: bytes, count: int, *, is_recorded: bool = True
    ) -> list[Outcome]:
        """
        Send the bytes of several requests at once and return the outcomes, in order.

        `is_recorded=False` is for paths that are not recorded: health, metrics, preflights.
        """
        outcomes = [judge_reply(reply) for reply in await send(self.server.port, requests, count)]
        if is_recorded:
            self.outcomes += outcomes
        else:
            self._unrecorded += len(outcomes)
            self._check_silence([outcome.reply.head for outcome in outcomes], "a header")
        return outcomes

    def expect_left(self, count: int = 1) -> None:
        """Expect the records of requests whose clients left: `client_closed` or `interrupted`."""
        self._left += count

    def allow_unseen(self, count: int = 1) -> None:
        """Expect the records of requests that were made past this judge, however they ended."""
        self._unseen += count

    async def read_records(self) -> list[RequestRecord]:
        """Return every record, once all that are due have come."""
        due = len(self.outcomes) + self._left + self._unseen
        try:
            async with asyncio.timeout(WITHIN_S):
                await self.server.observer.wait_for_records(due)
        except TimeoutError:
            pass  # the comparison says it better
        records = self.server.observer.records
        assert len(records) == due, f"{len(records)} records of {due} requests: {records}"
        return records

    async def read_record(self, outcome: Outcome) -> RequestRecord:
        """Return the one record of an outcome."""
        records = await self.read_records()
        (record,) = [each for each in records if each.request_id == outcome.request_id]
        return record

    async def check_running(
        self, before: set["asyncio.Task[Any]"], slots: int, metrics: Metrics
    ) -> None:
        """Check all that can be checked while the server runs; `slots` were free at first."""
        records = await self.read_records()
        self._check_records(records)
        self._check_attempts(records)
        self._check_tags(records)
        await self._check_rest(before, slots)
        text = metrics.render()[0].decode()
        busy = [
            line
            for line in text.splitlines()
            if line.startswith("llm_proxy_active_connections{") and not line.endswith(" 0.0")
        ]
        assert not busy, f"attempts that never ended: {busy}"
        self._check_silence([text.encode()], "the metrics")
        self._check_silence([msgspec.json.encode(record) for record in records], "a record")
        for outcome in self.outcomes:
            self._check_silence([outcome.reply.head], "a header")
            # A prompt may come back in an answer, and words of it in its client's error.
            self._check_silence([outcome.reply.body], "a body", PROMPT, PROMPT_MARK)
            if outcome.error:
                self._check_silence([msgspec.json.encode(outcome.error)], "an error", PROMPT_MARK)

    def check_log(self, text: bytes) -> None:
        """Check the whole log, once the server has closed."""
        self._check_silence([text], "the log")
        self.log_lines = [msgspec.json.decode(line) for line in text.splitlines()]
        of_requests = [line for line in self.log_lines if line["logger"] == LOGGER]
        records = self.server.observer.records
        told = [(line["request_id"], line["status_code"], line["outcome"]) for line in of_requests]
        seen = [(record.request_id, record.status, record.ending) for record in records]
        assert sorted(told) == sorted(seen), "the log's lines are not the records"
        loud = [
            line
            for line in self.log_lines
            if line["logger"] != LOGGER and line["level"] in ("ERROR", "CRITICAL")
        ]
        assert self.may_log_errors or not loud, f"faults of ours in the log: {loud}"

    def _check_records(self, records: list[RequestRecord]) -> None:
        by_id = Counter(record.request_id for record in records)
        assert all(count == 1 for count in by_id.values()), f"an id came twice: {by_id}"
        known = {record.request_id: record for record in records}
        ids = [outcome.request_id for outcome in self.outcomes]
        assert len(set(ids)) == len(ids), "two replies with one id"
        for outcome in self.outcomes:
            record = known.pop(outcome.request_id, None)
            assert record is not None, f"no record of {outcome}"
            expected = ("completed" if outcome.kind == "answer" else "failed",)
            if outcome.code == "server_shutdown":
                expected = ("interrupted",)
            assert (record.ending,) == expected, f"{record} is not what its client saw: {outcome}"
            assert record.status == outcome.reply.status, f"{record} of {outcome}"
            assert record.error_code in _name_code(outcome), f"{record} of {outcome}"
            assert outcome.code != "internal_error", f"a fault of ours: {outcome}"
        left = [each for each in known.values() if each.ending in ("client_closed", "interrupted")]
        assert self._left <= len(left) <= self._left + self._unseen, (
            f"{len(left)} clients left, {self._left} were to leave: {list(known.values())}"
        )

    def _check_attempts(self, records: list[RequestRecord]) -> None:
        observer = self.server.observer
        begun, ended = Counter(observer.started), Counter(a.provider for a in observer.attempts)
        assert begun == ended, f"attempts begun {begun}, ended {ended}"
        told = Counter(attempt.provider for record in records for attempt in record.attempts)
        assert ended == told, f"attempts ended {ended}, in records {told}"
        counts = {record.request_id: len(record.attempts) for record in records}
        for outcome in self.outcomes:
            told_count = outcome.reply.headers.get("x-llm-proxy-attempts")
            # A head that went out before the answer says how many there were until then.
            if told_count is not None and not outcome.reply.body.startswith(b": keep-alive"):
                assert int(told_count) == counts[outcome.request_id], f"attempts of {outcome}"

    def _check_tags(self, records: list[RequestRecord]) -> None:
        providers = {record.request_id: record.provider for record in records}
        for outcome in self.outcomes:
            tag = self._tags.get(outcome.request_id)
            found = outcome.tags
            assert len(found) <= 1, f"bytes of several answers in one: {found}"
            for each in found:
                source, unmarked = read_source(each), mark_tag(each, 0)
                assert tag in (None, unmarked), f"{found} in the answer to {tag!r}"
                provider = providers[outcome.request_id]
                assert source in (None, provider), f"bytes of {source} as an answer of {provider}"

    async def _check_rest(self, before: set["asyncio.Task[Any]"], slots: int) -> None:
        """Wait until the running server holds no more than when it began."""
        deadline_s = asyncio.get_running_loop().time() + WITHIN_S
        # Nothing announces that a server has come to rest: this looks once per turn.
        while (held := self._find_held(before, slots)) and (  # noqa: ASYNC110
            asyncio.get_running_loop().time() < deadline_s
        ):
            await asyncio.sleep(0)
        assert not held, f"still held after {WITHIN_S} s: {held}"

    def count_free_slots(self) -> int:
        """Return how many connections may still be taken under the caps that there are."""
        return sum(
            count_free_slots(transport)
            for transport in self.server.runtime.transports.values()
            if is_over_http(transport)
        )

    def _find_held(self, before: set["asyncio.Task[Any]"], slots: int) -> list[str]:
        held = [str(task) for task in asyncio.all_tasks() - before if _is_products(task)]
        held += ["in-flight slot"] * self.server.runtime.in_flight
        held += ["slot of a connection cap"] * abs(slots - self.count_free_slots())
        held += _find_held_of_board(self.server.runtime.board)
        for name, transport in self.server.runtime.transports.items():
            if is_over_http(transport):
                held += [f"connection of {name}"] * count_busy(transport)
        return held

    def _check_silence(self, texts: list[bytes], where: str, *allowed: str) -> None:
        secrets = [secret for secret in self.secrets if secret not in allowed]
        for text in texts:
            told = [secret for secret in secrets if secret.encode() in text]
            assert not told, f"{told} in {where}: {text[:2000]!r}"


@asynccontextmanager
async def judging(
    opening: AbstractAsyncContextManager[ProxyServer],
) -> AsyncIterator[Judge]:
    """Open a proxy, let the block ask it, and hold it to the invariants (see above)."""
    with tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder) / "proxy.log"
        # Its files stay mapped until nobody holds a number of them: no leak of the proxy's.
        metrics = Metrics(Path(folder) / "metrics", endpoints=("/chat/completions",))
        try:
            async with leaving_nothing(WITHIN_S):
                with _logging_to(log_path) as writer:
                    async with opening as server:
                        judge = Judge(server)
                        runtime = server.runtime
                        metrics.apply_snapshot(runtime.snapshot)
                        runtime.observer = ManyObservers(
                            metrics, RequestLog(writer, "DEBUG"), server.observer
                        )
                        before, slots = asyncio.all_tasks(), judge.count_free_slots()
                        yield judge
                        await judge.check_running(before, slots, metrics)
        finally:
            metrics.close()
        judge.check_log(log_path.read_bytes())


@contextmanager
def _logging_to(path: Path) -> Iterator[LogWriter]:
    """Lead all logging into a file, as the running server does; put everything back at the end."""
    loggers = [logging.getLogger(name) for name in _OWNED_LOGGERS]
    before = [(each, each.handlers[:], each.level, each.disabled) for each in loggers]
    propagates = [each.propagate for each in loggers]
    writer = open_log_writer(str(path))
    configure_logging("DEBUG", writer)
    try:
        yield writer
    finally:
        structlog.reset_defaults()
        for (each, handlers, level, disabled), propagate in zip(before, propagates, strict=True):
            each.handlers[:] = handlers
            each.setLevel(level)
            each.disabled = disabled
            each.propagate = propagate
        writer.close()


def build_body(tag: bytes, **fields: Any) -> bytes:
    """Return a chat request for the model `m`, whose prompt is the canary and ends in `tag`."""
    messages = [{"role": "user", "content": f"{PROMPT} {tag.decode()}"}]
    return msgspec.json.encode({"model": "m", "messages": messages, **fields})


def build_request(
    body: bytes,
    path: str = "/v1/chat/completions",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return the bytes of a POST with a good key that closes its connection afterwards."""
    fields = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Authorization": f"Bearer {KEY}",
        "Connection": "close",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def read_tag(body: bytes) -> bytes:
    """Return the tag in a request's body, one that nobody asked with if there is none."""
    found = re.search(rb"tag-[0-9]{8}", body)
    return b"tag-99999999" if found is None else found.group()


def mark_tag(tag: bytes, source: int) -> bytes:
    """Return a tag as the provider of this number repeats it (1: `a`); 0 is nobody's number."""
    return b"tag-%d%b" % (source, tag[5:])


def read_source(tag: bytes) -> str | None:
    """Return the name of the provider that has marked a tag, None if none has."""
    number = int(tag[4:5])
    return SOURCES[number - 1] if 0 < number <= len(SOURCES) else None


def _find_held_of_board(board: Board) -> list[str]:
    held = [f"attempt at {each.id}" for each in board._places.values() if each.in_flight]
    held += [f"repetition of {name}" for name, kept in board._budgets.items() if kept._running]
    held += ["panic attempt"] * board.is_panicking
    if isinstance(board.breakers, MemoryBreakers):
        held += [
            f"permit of {name}" for name, each in board.breakers._breakers.items() if each.leases
        ]
    return held


def _name_code(outcome: Outcome) -> tuple[str | None, ...]:
    """Return what a record may call an outcome: a provider's own code is no word of ours."""
    if outcome.error.get("type") == "invalid_request_error":
        return outcome.code, "upstream_rejected"
    return (outcome.code,)


def _is_products(task: "asyncio.Task[Any]") -> bool:
    """Tell whether a task runs code that is not a test's own."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is None or not str(code.co_filename).startswith(_TESTS)
