"""Stub."""

from collections.abc import Sequence

from proxy.domain.events import Event
from proxy.wire.base import Ask


class AnthropicWriter:
    """An EventWriter."""

    def __init__(self, ask: Ask) -> None:
        raise NotImplementedError

    def write(self, events: Sequence[Event]) -> bytes:
        """Return the bytes."""
        raise NotImplementedError

    def finish(self) -> bytes:
        """Return the end."""
        raise NotImplementedError


def write_anthropic_answer(ask: Ask, events: Sequence[Event]) -> bytes:
    """Return the answer."""
    raise NotImplementedError
