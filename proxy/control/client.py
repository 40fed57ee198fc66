"""What a command asks the running supervisor, and its answer; blocking, for the command line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.control.frames import FrameBroken, build_frame, receive_frame
from proxy.control.messages import Answer, Ask
from proxy.control.socket_path import connect_to

ANSWER_WITHIN_S = 120.0
"""A rolling restart of many workers takes its time."""


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
            answer = receive_frame(connection, Answer)
        except TimeoutError:
            raise AskFailed(f"the server did not answer within {ANSWER_WITHIN_S:.0f} s") from None
        except (OSError, FrameBroken) as error:
            raise AskFailed("the server ended before it had answered") from error
    if answer is None:
        raise AskFailed("the server ended before it had answered")
    body: dict[str, Any] = json.loads(answer.body)
    if answer.is_error:
        raise AskFailed(str(body.get("message", "the server could not do it")))
    return body
