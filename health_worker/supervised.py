"""
The health worker as a child of the supervisor, from its first instruction to its exit.

Neither YAML nor pydantic is loaded here: everything it needs comes over its connection.
"""

import asyncio
import resource
import signal
import socket
import time
from contextlib import suppress

import msgspec
import structlog
import uvloop
from msgspec import Struct

from health_worker.feed import SupervisedFeed
from health_worker.process import HealthProcess
from health_worker.publish import LinkPublisher
from proxy.control.frames import Link, build_client_end
from proxy.control.group_signals import GROUP_SIGNALS
from proxy.control.handover import receive_start
from proxy.control.messages import Answer, Ask, ServerMessage, Start
from proxy.domain.errors import ProxyError
from proxy.domain.health import HealthOrder
from proxy.domain.identity import KeyHasher
from proxy.telemetry.log_writer import LogWriter, open_log_writer
from proxy.telemetry.logs import configure_logging

_log = structlog.get_logger("llm_proxy.health_worker")


def run_supervised(descriptor: int) -> None:
    """
    Probe what the supervisor publishes, until it says to end or is gone.

    Args:
        descriptor: a socket with the supervisor at its other end.
    """
    for number in GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    connection = socket.socket(fileno=descriptor)
    begun = receive_start(connection)
    if begun is None:
        return
    start, _ = begun
    allow_files()
    log = open_log_writer(start.install.log_file)
    configure_logging(start.install.log_level, log)
    try:
        is_good = uvloop.run(_serve(start, connection, log))
    finally:
        log.close()
    if not is_good:
        raise SystemExit(1)


def allow_files() -> None:
    """Have as many open files as the system lets this process have: each target may need one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Where that is refused fewer are probed, and nothing is said of the others.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(start: Start, connection: socket.socket, log: LogWriter) -> bool:
    connection.setblocking(False)
    link = build_client_end(*await asyncio.open_unix_connection(sock=connection))
    return await SupervisedWorker(start, link, log).run()


class _Arguments(Struct):
    """What comes with an order; () stands for all."""

    names: tuple[str, ...] = ()


class SupervisedWorker:
    """A health worker over a connection."""

    def __init__(self, start: Start, link: Link[ServerMessage], log: LogWriter) -> None:
        self._install = start.install
        self._link = link
        self._log = log
        self._process = HealthProcess(
            start.install, KeyHasher(start.pepper), LinkPublisher(link.send)
        )
        self._feed = SupervisedFeed(
            link,
            start.install,
            on_config=self._process.take_config,
            on_ask=self._take_ask,
            on_events=self._process.take_events,
            on_reopen=self._reopen_log,
        )
        self._answers: set[asyncio.Task[None]] = set()

    async def run(self) -> bool:
        """Probe until the connection ends, or SIGTERM comes; False if it has failed."""
        feed = asyncio.create_task(self._feed.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, feed.cancel)
        # Its own API is a convenience: the verdicts are what the supervisor wants.
        await self._process.open(must_listen=False)
        is_good = await self._process.run(feed)
        for answer in self._answers:
            answer.cancel()
        await self._process.close()
        await self._link.close()
        return is_good

    def _take_ask(self, ask: Ask) -> None:
        answer = asyncio.create_task(self._answer(ask))
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _answer(self, ask: Ask) -> None:
        try:
            order = msgspec.convert(ask.what, HealthOrder)
            arguments = msgspec.json.decode(ask.body, type=_Arguments)
            found = await self._process.worker.order(order, arguments.names)
            body, is_error = {**found, "timestamp": time.time()}, False
        except (ProxyError, msgspec.MsgspecError) as error:
            body, is_error = {"message": str(error)}, True
        except Exception as error:  # noqa: BLE001
            # A fault of ours costs this one answer.
            _log.exception("what was asked could not be done", what=ask.what)
            body, is_error = {"message": f"it could not be done ({type(error).__name__})"}, True
        self._link.send(Answer(ask.id, msgspec.json.encode(body), is_error))

    def _reopen_log(self) -> None:
        try:
            self._log.reopen()
        except OSError as error:
            _log.error("the log file could not be opened anew", reason=error.strerror)
