"""What a command asks the running supervisor, and its answer; blocking, for the command line."""

import json
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from proxy.control.frames import build_frame
from proxy.control.messages import Answer, Ask
from proxy.control.socket_path import connect_to

ANSWER_WITHIN_S = 120.0
"""A rolling restart of many workers takes its time."""
_LENGTH = struct.Struct(">I")


class AskFailed(Exception):
    """The supervisor could not do it, or did not answer; the text is for the operator."""


def ask_supervisor(
    runtime_dir: Path, what: str, arguments: Mapping[str, Any], by: str
) -> dict[str, Any] | None:
    """
    Ask the supervisor whose control socket lies in `runtime_dir`.

    Args:
        runtime_dir: where its socket lies.
        what: such as `reload`.
        arguments: become JSON.
        by: who asks, for its log.

    Returns:
        Its answer; None if no server runs there.

    Raises:
        AskFailed: it could not, or is not for this user to ask.
    """
    try:
        connection = connect_to(runtime_dir, ANSWER_WITHIN_S)
    except OSError as error:
        raise AskFailed(error.strerror or str(error)) from error
    if connection is None:
        return None
    with connection:
        try:
            ask = Ask(1, what, json.dumps(arguments).encode(), by)
            connection.sendall(build_frame(ask))
            answer = _receive(connection)
        except TimeoutError:
            raise AskFailed(f"the server did not answer within {ANSWER_WITHIN_S:.0f} s") from None
        except OSError as error:
            raise AskFailed(f"the server went away: {error.strerror}") from error
    body: dict[str, Any] = json.loads(answer.body)
    if answer.is_error:
        raise AskFailed(str(body.get("message", "the server could not do it")))
    return body


def _receive(connection: socket.socket) -> Answer:
    with connection.makefile("rb") as stream:
        head = stream.read(_LENGTH.size)
        body = stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
    try:
        return msgspec.msgpack.decode(body, type=Answer)
    except msgspec.MsgspecError:
        raise AskFailed("the server ended before it had answered") from None
