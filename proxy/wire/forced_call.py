"""
The call of one tool that must be called, where a provider can be bound to a schema instead.

The request then asks for the arguments as its text, and that text is told as the call. Frameworks
have structured output by way of such a call.
"""

from collections.abc import Iterable

from proxy.domain.chat import NO_ARGUMENTS, ChatRequest, Tool
from proxy.domain.errors import ProxyError
from proxy.domain.events import (
    CallArguments,
    CallEnded,
    CallStarted,
    Event,
    Finished,
    LogProbs,
    Said,
)
from proxy.domain.exchange import Anomaly
from proxy.wire.dialect import EventReader
from proxy.wire.new_id import build_id


def find_forced(chat: ChatRequest) -> Tool | None:
    """
    Return the one tool that must be called, None where there is a choice or none is forced.

    A format that is wanted besides is of a text that the answer will not have.
    """
    choice = chat.tool_choice
    if choice is None or choice.mode != "required":
        return None
    tools = [tool for tool in chat.tools if not choice.names or tool.name in choice.names]
    return tools[0] if len(tools) == 1 else None


def tell_forced(tool: Tool) -> str:
    """Return what a model is told, which sees no more of a schema than what it may say next."""
    about = "" if tool.description is None else f" It does this: {tool.description}"
    schema = "" if tool.parameters is None else f" Their schema: {bytes(tool.parameters).decode()}"
    return (
        f"Call the tool '{tool.name}' now: answer with the JSON object of its arguments, and with"
        f" nothing else.{about}{schema}"
    )


class ForcedCall:
    """An EventReader (see `wire/dialect.py`): another one, whose text is a call's arguments."""

    def __init__(self, tool: Tool, reader: EventReader) -> None:
        """
        Args:
            tool: what is called.
            reader: of the answer, of one choice.
        """
        self._reader = reader
        self._caller = _Caller(tool)

    @property
    def is_over(self) -> bool:
        """As the other's (see `wire/dialect.py`)."""
        return self._reader.is_over

    @property
    def may_end(self) -> bool:
        """As the other's (see `wire/dialect.py`)."""
        return self._reader.may_end

    @property
    def error(self) -> ProxyError | None:
        """As the other's (see `wire/dialect.py`)."""
        return self._reader.error

    @property
    def anomalies(self) -> set[Anomaly]:
        """As the other's (see `wire/dialect.py`)."""
        return self._reader.anomalies

    @property
    def event_count(self) -> int:
        """As the other's (see `wire/dialect.py`)."""
        return self._reader.event_count

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes and return what they say (see `wire/dialect.py`)."""
        return self._caller.turn(self._reader.feed(chunk))

    def finish(self) -> list[Event]:
        """Take note of the end of the body (see `wire/dialect.py`)."""
        return self._caller.turn(self._reader.finish())


def read_forced(tool: Tool, events: Iterable[Event]) -> list[Event]:
    """Return the events of a whole answer with the call in place of its text."""
    return _Caller(tool).turn(events)


class _Caller:
    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._has_started = False

    def turn(self, events: Iterable[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if isinstance(event, Said):
                self._start(out)
                out.append(CallArguments(0, event.text))
            elif isinstance(event, Finished):
                self._finish(event, out)
            elif not isinstance(event, LogProbs):
                out.append(event)
        return out

    def _start(self, out: list[Event]) -> None:
        if not self._has_started:
            self._has_started = True
            out.append(CallStarted(0, build_id("call_"), self._tool.name))

    def _finish(self, event: Finished, out: list[Event]) -> None:
        if self._tool.parameters is None and not self._has_started and event.reason == "stop":
            self._start(out)
            out.append(CallArguments(0, NO_ARGUMENTS))
        if self._has_started:
            out.append(CallEnded(0))
        is_call = self._has_started and event.reason == "stop"
        out.append(Finished("tool_calls", raw=event.raw) if is_call else event)
