"""
Starts the process of a worker, or of the health worker.

Nothing heavy is imported here: the first worker is started before the configuration is read,
so that it loads its libraries meanwhile.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from proxy.control.group_signals import GROUP_SIGNALS

_WITHHELD = re.compile(
    r"PROXY_API_\w*|LITELLM_\w*|\w*_KEY|\w*_TOKEN|\w*SECRET\w*|\w*PASSWORD\w*|\w*_URL"
    r"|LISTEN_\w*|NOTIFY_SOCKET|WATCHDOG_\w*|CREDENTIALS_DIRECTORY"
)
"""What a worker has no business with: it gets everything it needs over its connection."""
_MEMORY: Mapping[str, str] = {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024)}
"""
Blocks from this size on, such as the buffers of a TLS connection, go back to the system when they
are freed. glibc begins with the same size, but raises it once it has seen such a block freed, and
the gaps between them then grow for hours. Who sets the variable for the service decides."""
_PACKAGE_HOME = str(Path(__file__).resolve().parents[2])


class SpawnedWorker:
    """A process that waits for its Start at the other end of `connection`."""

    def __init__(self, process: "subprocess.Popen[bytes]", connection: socket.socket) -> None:
        self.process = process
        self.connection = connection


def spawn_worker(environ: Mapping[str, str] | None = None) -> SpawnedWorker:
    """
    Start a worker's process, which loads its libraries and waits.

    Raises:
        OSError: no process can be started.
    """
    return _spawn("proxy.worker", environ)


def spawn_health_worker(environ: Mapping[str, str] | None = None) -> SpawnedWorker:
    """
    Start the health worker's process, which waits in the same way and gets no sockets.

    Raises:
        OSError: no process can be started.
    """
    return _spawn("health_worker", environ)


def _spawn(module: str, environ: Mapping[str, str] | None) -> SpawnedWorker:
    variables = build_variables(os.environ if environ is None else environ)
    ours, theirs = socket.socketpair()
    # The mask is inherited: until the worker ignores these signals, they wait.
    unmasked = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    with theirs:
        try:
            process = subprocess.Popen(
                # -P: what lies in the working directory is not imported by chance.
                [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                env=variables,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        except OSError:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)
    return SpawnedWorker(process, ours)


def build_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: ours without secrets, and how it finds this package."""
    kept = {name: text for name, text in environ.items() if not _WITHHELD.fullmatch(name)}
    paths = [_PACKAGE_HOME, *filter(None, [environ.get("PYTHONPATH")])]
    return {**_MEMORY, **kept, "PYTHONPATH": os.pathsep.join(paths)}
