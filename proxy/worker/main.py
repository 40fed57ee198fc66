"""A worker process, from its first instruction to its exit."""

import gc
import resource
import signal
import socket
import sys
from contextlib import suppress

import structlog
import uvloop

from proxy.control.group_signals import GROUP_SIGNALS
from proxy.control.handover import receive_start
from proxy.telemetry.log_writer import open_log_writer
from proxy.telemetry.logs import configure_logging
from proxy.worker.serve import serve


def main() -> None:
    """
    Serve what the supervisor hands over, until it says to stop or is gone.

    Nothing is served by itself: without a supervisor at the other end there is nothing to do.
    """
    for number in GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    connection = socket.socket(fileno=int(sys.argv[1]))
    begun = receive_start(connection)
    if begun is None:
        return
    start, listening = begun
    log = open_log_writer(start.install.log_file)
    configure_logging(start.install.log_level, log)
    _allow_files()
    try:
        uvloop.run(serve(start, listening, connection, log, on_ready=_quieten_collector))
    except OSError as error:
        structlog.get_logger("llm_proxy.worker").error(
            "this worker cannot go on", reason=str(error)
        )
        raise SystemExit(1) from None
    finally:
        log.close()


def _allow_files() -> None:
    """Have as many open files as the system lets this process have: it often begins with 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Systems that refuse this leave what there is, and `find_room` in server/runner.py keeps to it.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _quieten_collector() -> None:
    """Keep the garbage collector from walking what will live as long as the process does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
