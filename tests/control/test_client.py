"""What a command gets from a supervisor that answers, refuses, dies or is not there."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.control.client import AskFailed, ask_supervisor
from proxy.control.frames import build_frame, receive_frame
from proxy.control.messages import Answer, Ask
from proxy.control.socket_path import listen_on


@contextmanager
def answering(directory: Path, answer: bytes) -> Iterator[list[Ask | None]]:
    """Accept one connection, note what it asks, and send these bytes."""
    asked: list[Ask | None] = []

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            asked.append(receive_frame(connection, Ask))
            connection.sendall(answer)

    with listen_on(directory) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        yield asked
        thread.join()


def test_an_answer_comes_back(tmp_path: Path) -> None:
    """What is asked arrives whole, and the JSON of the answer is returned."""
    answer = build_frame(Answer(1, b'{"generation": 3}'))
    with answering(tmp_path, answer) as asked:
        got = ask_supervisor(tmp_path, "reload", {"allow_shrink": True}, "a test")
    assert got == {"generation": 3}
    [ask] = asked
    assert ask is not None
    assert (ask.what, json.loads(ask.body), ask.by) == ("reload", {"allow_shrink": True}, "a test")


def test_a_refusal_is_raised_in_its_own_words(tmp_path: Path) -> None:
    """What the supervisor says about why it could not is what the operator reads."""
    answer = build_frame(Answer(1, b'{"message": "no such generation"}', is_error=True))
    with answering(tmp_path, answer), pytest.raises(AskFailed, match="no such generation"):
        ask_supervisor(tmp_path, "diff", {}, "a test")


def test_a_server_that_dies_is_told(tmp_path: Path) -> None:
    """The end of the connection before the answer is no success."""
    with answering(tmp_path, b"\0\0"), pytest.raises(AskFailed, match="before it had answered"):
        ask_supervisor(tmp_path, "reload", {}, "a test")


def test_nobody_there_is_none(tmp_path: Path) -> None:
    """Where no server listens there is nothing to raise about."""
    assert ask_supervisor(tmp_path, "reload", {}, "a test") is None
