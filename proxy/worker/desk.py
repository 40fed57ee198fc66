"""What a worker knows of the whole service, and how it asks for what only the supervisor can do."""

import asyncio
from collections.abc import Mapping
from itertools import count

import msgspec
from msgspec.structs import replace

from proxy.control.frames import Link
from proxy.control.messages import Answer, Ask, ServerMessage
from proxy.domain.errors import ProxyError
from proxy.domain.service import ServiceStatus
from proxy.domain.service_errors import (
    HealthWorkerUnavailable,
    SupervisorRefused,
    SupervisorUnavailable,
)

ANSWER_WITHIN_S = 120.0
"""A rolling restart of many workers takes its time."""


class SupervisorDesk:
    """A Desk (see `server/state.py`) at the other end of a worker's connection."""

    def __init__(self, link: Link[ServerMessage], status: ServiceStatus) -> None:
        self.status = status
        self._link = link
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._is_gone = False

    async def ask(self, what: str, arguments: Mapping[str, object], by: str) -> bytes:
        """Return what the supervisor answers, as JSON (see `server/state.py`)."""
        if self._is_gone:
            raise SupervisorUnavailable()
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._link.send(Ask(number, what, msgspec.json.encode(arguments), by))
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                body: bytes = (await answer).body
                return body
        except TimeoutError:
            raise SupervisorUnavailable() from None
        finally:
            del self._waiting[number]

    def take(self, answer: Answer) -> None:
        """Give an answer to whoever waits for it."""
        waiting = self._waiting.get(answer.id)
        if waiting is None or waiting.done():
            return
        if answer.is_error:
            waiting.set_exception(_read_error(answer.body))
        else:
            waiting.set_result(answer)

    def leave(self) -> None:
        """Nobody answers any more, and this worker is on its way out."""
        self.status = replace(self.status, is_draining=True)
        self._is_gone = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(SupervisorUnavailable())


def _read_error(body: bytes) -> ProxyError:
    try:
        said = msgspec.json.decode(body, type=dict[str, str])
    except msgspec.MsgspecError:
        return SupervisorRefused()
    is_away = said.get("code") == HealthWorkerUnavailable.code
    return (HealthWorkerUnavailable if is_away else SupervisorRefused)(said.get("message"))
