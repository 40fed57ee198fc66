"""
The simulator as an HTTP server, for `llm-proxy simulate` and for tests.

Routes are those of four vendors (see `doors.py`) and its own `/health` and `/ledger`. Plans come
from `generator.py` and are sent by `http_player.py`.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import time
from typing import Final

from aiohttp import web
from msgspec import Struct

from proxy.domain.errors import BodyTooLarge, InvalidApiKey, RequestError
from proxy.domain.secret import Secret
from proxy.simulator.doors import find_format
from proxy.simulator.draft import build_error
from proxy.simulator.faults import EARLY_REFUSAL
from proxy.simulator.file_store import FileStore
from proxy.simulator.form import Form, FormCounter, find_boundary
from proxy.simulator.generator import build_plan
from proxy.simulator.http_player import play_broken, play_plain, reset_connection
from proxy.simulator.knobs import NO_KNOBS, Knobs
from proxy.simulator.ledger import Entry, Ledger
from proxy.simulator.openai_format import encode_error
from proxy.simulator.passed import Asked, build_passed_plan, is_passed
from proxy.simulator.plan import Plan, Spoil
from proxy.simulator.response_memory import ResponseMemory
from proxy.simulator.wire_format import WireFormat, describe_error

_MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_LONGEST_WAIT_S: Final = 60.0
_LINGER_S: Final = 5.0
_JSON: Final = "application/json"
_KEY_HEADERS: Final = ("X-API-Key", "api-key", "x-goog-api-key")


class SimulatorOptions(Struct, frozen=True):
    """How a simulator is started: the key that it asks for, and its knobs."""

    api_key: Secret | None = None
    knobs: Knobs = NO_KNOBS


DEFAULT_OPTIONS = SimulatorOptions()


class RunningSimulator:
    """A simulator that listens; `close()` ends it and every connection to it."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, ledger: Ledger) -> None:
        self._runner = runner
        self.host = host
        self.port = port
        self.ledger = ledger

    @property
    def url(self) -> str:
        """Where it listens, without a path and without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def close(self) -> None:
        """Stop listening, drop what is under way, and wait until all is gone."""
        await self._runner.cleanup()


async def open_simulator(
    host: str = "127.0.0.1", port: int = 0, options: SimulatorOptions = DEFAULT_OPTIONS
) -> RunningSimulator:
    """Start a simulator on `host`; port 0 takes a free one. OSError if it cannot listen."""
    simulator = _Simulator(options)
    app = web.Application()
    app.router.add_get("/health", simulator.health)
    app.router.add_get("/ledger", simulator.read_ledger)
    app.router.add_delete("/ledger", simulator.clear_ledger)
    app.router.add_route("*", "/{path:.*}", simulator.answer)
    # A client that leaves cancels its handler: that is how the ledger knows the moment.
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        logger=logging.getLogger("proxy.simulator"),
        shutdown_timeout=0.1,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return RunningSimulator(runner, host, runner.addresses[0][1], simulator.ledger)


class _Simulator:
    def __init__(self, options: SimulatorOptions) -> None:
        self.ledger = Ledger()
        self._options = options
        self._memory = ResponseMemory()
        self._files = FileStore()
        self._spoiled: list[asyncio.BaseTransport] = []

    async def health(self, request: web.Request) -> web.Response:
        return web.Response(body=b'{"status":"ok"}', content_type=_JSON)

    async def read_ledger(self, request: web.Request) -> web.Response:
        """Answer with the ledger, if asked to only once `ended` requests have ended."""
        if not self._is_allowed(request):
            return _refuse_key()
        try:
            count = int(request.query.get("ended", "0"))
            timeout_s = min(float(request.query.get("within_ms", "1000")) / 1000, _LONGEST_WAIT_S)
        except ValueError:
            return web.Response(status=400, text="'ended' and 'within_ms' must be numbers.\n")
        await self.ledger.wait_ended(count, timeout_s)
        return web.Response(body=self.ledger.encode(), content_type=_JSON)

    async def clear_ledger(self, request: web.Request) -> web.Response:
        if not self._is_allowed(request):
            return _refuse_key()
        self.ledger.clear()
        return web.Response(status=204)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request to the model, whatever the plan makes of it."""
        entry = self.ledger.begin(request.method, request.path_qs, request.headers.items())
        try:
            return await self._answer(request, entry)
        except ConnectionError:
            # The client left between two writes; what is returned reaches nobody.
            self.ledger.end(entry, "client_closed")
            return web.Response()
        finally:
            # A cancelled handler means the same: the connection is gone.
            self.ledger.end(entry, "client_closed")

    async def _answer(self, request: web.Request, entry: Entry) -> web.StreamResponse:
        if request.transport in self._spoiled:
            reset_connection(request)
            self.ledger.end(entry, "broken")
            return await _hold()
        if not self._is_allowed(request):
            plan = Plan(build_error(_wrong_key(), _format_of(request)))
        elif is_passed(request.rel_url.raw_path):
            plan = await self._plan_passed(request, entry)
        else:
            body, is_whole = await _read_body(request, entry)
            if len(body) > _MAX_BODY_BYTES:
                plan = Plan(build_error(BodyTooLarge(), _format_of(request)))
            else:
                plan = self._plan(request, body if is_whole else _early_body(_format_of(request)))
        entry.model, entry.streams, entry.fault = plan.model, plan.streams, plan.fault
        if plan.is_plain:
            response = await play_plain(plan, request, entry)
            if isinstance(plan.steps[-1], Spoil):
                self._spoil(request)
            self.ledger.end(entry, "completed")
            return response
        outcome = await play_broken(plan, request, entry)
        self.ledger.end(entry, outcome)
        if outcome == "completed":
            await _finish(request, entry)
        return await _hold()

    def _plan(self, request: web.Request, body: bytes) -> Plan:
        return build_plan(
            request.method,
            f"{request.rel_url.raw_path}?{request.rel_url.raw_query_string}",
            body,
            created_at=int(time.time()),
            face="http",
            options=self._options.knobs,
            headers=_lower_headers(request),
            memory=self._memory,
        )

    async def _plan_passed(self, request: web.Request, entry: Entry) -> Plan:
        """Return the plan for what others would pass on: a form is counted and not kept."""
        asked = Asked(request.method, request.rel_url.raw_path, request.rel_url.raw_query_string)
        boundary = find_boundary(request.headers.get("Content-Type", ""))
        try:
            if boundary is not None and EARLY_REFUSAL.model not in request.path:
                asked.form = await _read_form(request, entry, boundary)
            else:
                asked.body, _ = await _read_body(request, entry)
        except RequestError as error:
            return Plan(build_error(error))
        if asked.form is None and not asked.body and boundary is not None:
            asked.body = _early_body(_format_of(request))
        return build_passed_plan(
            asked,
            self._files,
            created_at=int(time.time()),
            face="http",
            options=self._options.knobs,
        )

    def _is_allowed(self, request: web.Request) -> bool:
        wanted = self._options.api_key
        if wanted is None:
            return True
        headers = request.headers
        bearer = headers.get("Authorization", "").partition(" ")[2]
        keys = [bearer, *(headers.get(name, "") for name in _KEY_HEADERS)]
        expected = wanted.reveal().encode()
        return any(
            [hmac.compare_digest(key.encode("utf-8", "surrogateescape"), expected) for key in keys]
        )

    def _spoil(self, request: web.Request) -> None:
        self._spoiled = [old for old in self._spoiled if not old.is_closing()]
        if request.transport is not None:
            self._spoiled.append(request.transport)


async def _read_body(request: web.Request, entry: Entry) -> tuple[bytes, bool]:
    """Return the body and whether it is whole: one that asks for an early refusal is not."""
    parts: list[bytes] = []
    digest = hashlib.sha256()
    early = EARLY_REFUSAL.model.encode()
    if EARLY_REFUSAL.model in request.path:
        return b"", False
    while not request.content.at_eof() and entry.body_bytes <= _MAX_BODY_BYTES:
        part = await request.content.readany()
        parts.append(part)
        digest.update(part)
        entry.body_bytes += len(part)
        if len(parts) == 1 and early in part and not request.content.at_eof():
            return b"", False
    entry.body_sha256 = digest.hexdigest()
    return b"".join(parts), True


async def _read_form(request: web.Request, entry: Entry, boundary: str) -> Form | None:
    """Return what a form holds; None if it asks for the early refusal before it is whole."""
    counter, digest = FormCounter(boundary), hashlib.sha256()
    early = EARLY_REFUSAL.model.encode()
    while not request.content.at_eof():
        part = await request.content.readany()
        is_first = not entry.body_bytes
        digest.update(part)
        entry.body_bytes += len(part)
        counter.feed(part)
        if is_first and early in part and not request.content.at_eof():
            return None
    entry.body_sha256 = digest.hexdigest()
    return counter.finish()


def _early_body(format_: WireFormat) -> bytes:
    """Return the smallest request that asks for the early refusal."""
    asked: dict[str, object] = {"model": EARLY_REFUSAL.model}
    if format_.name == "anthropic":
        asked |= {"max_tokens": 1, "messages": [{"role": "user", "content": "-"}]}
    elif format_.name == "gemini":
        asked |= {"contents": [{"parts": [{"text": "-"}]}]}
    elif format_.name == "cohere":
        asked |= {"messages": [{"role": "user", "content": "-"}]}
    elif format_.name == "responses":
        asked |= {"input": "-"}
    elif format_.name == "ollama":
        asked |= {"messages": [{"role": "user"}], "prompt": "-", "input": "-"}
    else:
        asked |= {"messages": [{"role": "user"}], "prompt": "", "input": ""}
    return json.dumps(asked).encode()


def _lower_headers(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _format_of(request: web.Request) -> WireFormat:
    return find_format(request.rel_url.raw_path, _lower_headers(request))


async def _finish(request: web.Request, entry: Entry) -> None:
    """Close after a complete answer, so that a client that still sends can read it first."""
    transport = request.transport
    if transport is None:
        return
    if not request.content.at_eof():
        # Closing with unread bytes would reset the connection and take the answer along.
        transport.write_eof()
        try:
            async with asyncio.timeout(_LINGER_S):
                while not request.content.at_eof():
                    entry.body_bytes += len(await request.content.readany())
        except TimeoutError:
            pass
    transport.close()


async def _hold() -> web.StreamResponse:
    """Keep aiohttp from answering on a connection that is not its own any more."""
    await asyncio.Event().wait()
    raise AssertionError("the event is never set; the lost connection cancels the wait")


def _refuse_key() -> web.Response:
    error = _wrong_key()
    return web.Response(
        status=error.status,
        body=encode_error(describe_error(error)),
        content_type=_JSON,
    )


def _wrong_key() -> InvalidApiKey:
    return InvalidApiKey("The simulator's API key is missing or wrong.")
