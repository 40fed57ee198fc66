"""
What workers and commands may ask of the supervisor, and its answers as JSON.

Who may ask is decided elsewhere: `/admin` needs an admin key, the control socket a user of this
machine who owns the service.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, cast, get_args

import msgspec
import structlog

from proxy.config.changes import describe_changes
from proxy.config.history import HistoryEntry
from proxy.control.messages import Answer, Ask, BreakerOrder
from proxy.domain.breaker import BreakerCommand
from proxy.domain.health import HealthOrder
from proxy.domain.service_errors import HealthWorkerUnavailable
from proxy.policy.breaker_targets import EVERYTHING, WHAT_IDS_LOOK_LIKE, is_target
from proxy.supervisor.accepted import path_text
from proxy.supervisor.breaker_orders import BreakerOrders
from proxy.supervisor.fleet import Fleet
from proxy.supervisor.health_child import HealthChild
from proxy.supervisor.live_config import LiveConfig
from proxy.supervisor.startup import Place

LONGEST_CAUSE = 200
CHANGING = {"reload", "restart_workers", "breaker"}
ENDING = "the server is ending: it changes nothing any more"

_log = structlog.get_logger("llm_proxy.supervisor")


class AskRefused(Exception):
    """It cannot be done; the text is for whoever asks."""


class Asks:
    """Answers what is asked, each by its name."""

    def __init__(
        self,
        place: Place,
        live: LiveConfig,
        fleet: Fleet,
        is_ending: Callable[[], bool],
        breaker_orders: BreakerOrders,
        health: HealthChild,
    ) -> None:
        """Answer from these; what changes something is refused once the server `is_ending`."""
        self._breaker_orders = breaker_orders
        self._health = health
        self._is_ending = is_ending
        self._place = place
        self._live = live
        self._fleet = fleet
        self._by_name: Mapping[str, Callable[[dict[str, Any], str], Awaitable[Any]]] = {
            "reload": self._reload,
            "config": self._show_config,
            "history": self._show_history,
            "diff": self._show_diff,
            "restart_workers": self._restart_workers,
            "breaker": self._order_breakers,
            "status": self._show_status,
            **{order: partial(self._ask_health, order) for order in get_args(HealthOrder)},
        }

    async def answer(self, ask: Ask) -> Answer:
        """Return the answer to one ask; a refusal and a failure are answers too."""
        handler, code = self._by_name.get(ask.what), {}
        try:
            if handler is None:
                raise AskRefused(f"this version cannot do '{ask.what}'")
            if self._is_ending() and ask.what in CHANGING:
                raise AskRefused(ENDING)
            arguments = msgspec.json.decode(ask.body, type=dict[str, Any])
            body = await handler(arguments, ask.by[:LONGEST_CAUSE])
            return Answer(ask.id, msgspec.json.encode(body))
        except asyncio.CancelledError:
            if not self._is_ending():
                raise
            message = ENDING
        except HealthWorkerUnavailable as error:
            message, code = error.message, {"code": error.code}
        except (AskRefused, msgspec.MsgspecError, OSError) as error:
            message = str(error)
        except Exception as error:  # noqa: BLE001
            # A fault of ours costs this one answer, and not the service.
            _log.exception("what was asked could not be answered", what=ask.what)
            message = f"it could not be done ({type(error).__name__}); the log says where"
        return Answer(ask.id, msgspec.json.encode({"message": message, **code}), is_error=True)

    async def _reload(self, arguments: dict[str, Any], by: str) -> Any:
        cause = str(arguments.get("cause") or by or "asked")[:LONGEST_CAUSE]
        return await self._live.reload(cause, allow_shrink=arguments.get("allow_shrink") is True)

    async def _restart_workers(self, arguments: dict[str, Any], by: str) -> Any:
        _log.info("a rolling restart of the workers begins", by=by)
        replaced = await self._fleet.roll()
        wanted = self._fleet.count
        them = "workers were" if wanted != 1 else "worker was"
        message = f"{replaced} of {wanted} {them} replaced"
        _log.info("a rolling restart of the workers has ended", replaced=replaced, workers=wanted)
        if replaced < wanted:
            raise AskRefused(f"{message}; the log says why the others stayed")
        return {"message": message, "replaced": replaced, "timestamp": time.time()}

    async def _order_breakers(self, arguments: dict[str, Any], by: str) -> Any:
        target, command = str(arguments.get("id")), arguments.get("command")
        if command not in get_args(BreakerCommand):
            raise AskRefused("a breaker can be told: reset, open, close")
        if not is_target(target, self._live.accepted.snapshot):
            raise AskRefused(f"there is no such breaker; an id is {WHAT_IDS_LOOK_LIKE}")
        if target == EVERYTHING and command != "reset":
            raise AskRefused("only 'reset' can be said to all breakers at once")
        order = BreakerOrder(target, cast(BreakerCommand, command))
        if not self._breaker_orders.keep(order):
            raise AskRefused("there are too many orders in force: reset some first")
        workers = self._fleet.order(order)
        _log.warning("an operator's order for breakers", id=target, order=command, by=by)
        whom = f"{workers} worker{'s' if workers != 1 else ''}"
        return {
            "message": f"{command} {target}: told to {whom}",
            "workers": workers,
            "timestamp": time.time(),
        }

    async def _ask_health(self, order: HealthOrder, arguments: dict[str, Any], by: str) -> Any:
        if order != "check":
            _log.info("an operator's order for the health worker", order=order, by=by)
        answer = await self._health.ask(order, msgspec.json.encode(arguments), by)
        if answer.is_error:
            raise AskRefused(msgspec.json.decode(answer.body, type=dict[str, Any])["message"])
        return msgspec.Raw(answer.body)

    async def _show_config(self, arguments: dict[str, Any], by: str) -> Any:
        accepted, status = self._live.accepted, self._live.status
        return {
            "generation": status.generation,
            "loaded_at": status.loaded_at,
            "config_path": path_text(accepted.config_path),
            "last_error": status.last_error,
            "last_error_at": status.last_error_at,
            "needs_restart": status.needs_restart,
            "values": accepted.effective,
        }

    async def _show_history(self, arguments: dict[str, Any], by: str) -> Any:
        current = self._live.status.generation
        return {
            "entries": [
                {
                    "generation": entry.generation,
                    "accepted_at": entry.accepted_at,
                    "cause": entry.cause,
                    "changes": entry.changes,
                    "config_path": entry.config_path,
                    "is_current": entry.generation == current,
                }
                for entry in await asyncio.to_thread(self._place.history.list)
            ]
        }

    async def _show_diff(self, arguments: dict[str, Any], by: str) -> Any:
        before, after = [
            await asyncio.to_thread(self._find, arguments.get(side)) for side in ("a", "b")
        ]
        return {
            "a": before.generation,
            "b": after.generation,
            "changes": describe_changes(before.effective, after.effective),
        }

    def _find(self, generation: object) -> HistoryEntry:
        for entry in self._place.history.list():
            if str(entry.generation) == str(generation):
                return entry
        raise AskRefused(f"there is no generation {str(generation)[:20]} in the history")

    async def _show_status(self, arguments: dict[str, Any], by: str) -> Any:
        return {
            "config": self._live.status,
            "workers": self._fleet.count,
            "ready_workers": self._fleet.ready_count,
            "served_generations": self._fleet.served_generations,
            "pids": self._fleet.pids,
            "health_worker_pid": self._health.pid,
        }
