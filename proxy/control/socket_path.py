"""
The socket that commands reach the supervisor by, at any length of path.

A unix socket's address holds about 100 characters, and state directories lie deeper than that.
Through a descriptor of its directory the address is always short.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "control.sock"


def listen_on(directory: Path) -> socket.socket:
    """
    Return a listening socket in `directory`, which only its owner can connect to.

    One that was left behind by a process that is gone is replaced.

    Raises:
        OSError: the directory cannot be made or written; its text names it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)  # from its first moment on nobody else may connect
    try:
        with _short_path(directory) as path:
            if os.path.lexists(path):
                os.unlink(path)
            listening.bind(path)
        listening.listen(16)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"{directory / NAME}: {error.strerror}") from error
    finally:
        os.umask(before)
    return listening


def connect_to(directory: Path, timeout_s: float) -> socket.socket | None:
    """
    Return a connection to the supervisor behind `directory`, None if nobody listens there.

    Raises:
        PermissionError: somebody does, and it is not for this user to ask; the text says how.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    connection.settimeout(timeout_s)
    try:
        with _short_path(directory) as path:
            connection.connect(path)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        connection.close()
        return None
    except PermissionError as error:
        connection.close()
        raise PermissionError(
            error.errno,
            f"{directory / NAME} is another user's: run this as root or as the user of the service",
        ) from error
    except OSError:
        connection.close()
        raise
    return connection


@contextmanager
def _short_path(directory: Path) -> Iterator[str]:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
