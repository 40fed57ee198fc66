"""How an endpoint has the health worker do something, wherever that runs."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from proxy.domain.health import HealthOrder
from proxy.domain.service_errors import (
    HealthWorkerUnavailable,
    SupervisorRefused,
    SupervisorUnavailable,
)


class HealthOrders(Protocol):
    """Where orders for the health worker are given."""

    async def give(self, order: HealthOrder, names: Sequence[str], by: str) -> Mapping[str, Any]:
        """
        Have the health worker do something, and return once its results are known here.

        Args:
            order: what.
            names: for `check`: of whom; none means all.
            by: who asks, fit for a log.

        Returns:
            What it says of it; {} if it says nothing more than that it is done.

        Raises:
            HealthWorkerUnavailable: there is none, or it has not answered in time; the message
                says how to mend that.
        """


class Asking(Protocol):
    """The part of a Desk (see `state.py`) that is needed here."""

    async def ask(self, what: str, arguments: Mapping[str, object], by: str) -> bytes:
        """Have the supervisor do something."""


class DeskOrders:
    """Orders that the supervisor passes on to its own health worker."""

    def __init__(self, desk: Asking) -> None:
        self._desk = desk

    async def give(self, order: HealthOrder, names: Sequence[str], by: str) -> Mapping[str, Any]:
        """Have it done; what it has found comes before its answer, over the same connection."""
        try:
            answer = await self._desk.ask(order, {"names": list(names)}, by)
        except SupervisorRefused as error:
            raise HealthWorkerUnavailable(error.message) from None
        except SupervisorUnavailable:
            raise HealthWorkerUnavailable(
                "The health worker is asked through the supervisor, which does not answer."
            ) from None
        return read_summary(answer)


def read_summary(answer: bytes) -> Mapping[str, Any]:
    """Return what a health worker says but for the time, {} if that is no JSON object."""
    try:
        found: Mapping[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
    return {name: value for name, value in found.items() if name != "timestamp"}
