"""`/admin/breakers`: how the circuit breakers stand, and what operators say to them."""

import time
from typing import Any, cast, get_args

import msgspec
from aiohttp import web

from proxy.domain.breaker import BreakerCommand, BreakerReport, BreakerState
from proxy.domain.errors import InvalidRequest, RouteNotFound
from proxy.domain.service_errors import SupervisorUnavailable
from proxy.policy.breaker_targets import (
    EVERYTHING,
    WHAT_IDS_LOOK_LIKE,
    is_target,
    split_breaker_id,
)
from proxy.server.json_reply import body_reply, json_reply
from proxy.server.registrar import Registrar
from proxy.server.shape import Visit
from proxy.server.state import ServerState

STATES = get_args(BreakerState)
COMMANDS = get_args(BreakerCommand)
MAX_SHOWN = 200
"""Of so many breakers an order's answer says how they stand."""
_DONE = {"reset": "closed and forgotten", "open": "forced open", "close": "switched off"}
_TRUTH = {"": False, "false": False, "true": True}


class BreakerEndpoints:
    """Lists the breakers of this process, or of all that share them, and gives them orders."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._walk = state.breakers

    def add(self, registrar: Registrar) -> None:
        """Add both paths; ids may hold slashes, raw or as %2F."""
        registrar.add("admin", ("GET",), "/admin/breakers", self.show)
        registrar.add("admin", ("POST",), "/admin/breakers/{order}", self.give_order)

    async def show(self, visit: Visit) -> web.Response:
        """Answer with the breakers that are not closed or have just failed, or with all."""
        query = visit.request.query
        state, target = query.get("state"), query.get("provider", EVERYTHING)
        shows_all = _TRUTH.get(query.get("all", ""))
        if shows_all is None:
            raise InvalidRequest("'all' is true or false.", param="all")
        if state is not None and state not in STATES:
            raise InvalidRequest(f"'state' is one of {', '.join(STATES)}.", param="state")
        if target != EVERYTHING and target not in visit.snapshot.providers:
            raise InvalidRequest("There is no provider by that name.", param="provider")
        listing = self._walk.list_ids if shows_all else self._walk.list_notable
        reports = await self._walk.read([e async for e in listing(visit.snapshot, target)])
        breakers = self._state.runtime.board.breakers
        told = {
            "shared": breakers.is_shared,
            "rules": msgspec.to_builtins(breakers.rules_in_force),
            "timestamp": time.time(),
        }
        # Encoded one by one: there may be ten thousands of them.
        shown = [describe_breaker(e) for e in reports if state in (None, e.state)]
        body = b",".join([msgspec.json.encode(each) for each in shown])
        return body_reply(b'{"breakers":[%b],%b' % (body, msgspec.json.encode(told)[1:]))

    async def give_order(self, visit: Visit) -> web.Response:
        """Do to breakers what the end of the path says."""
        target, _, command = visit.parameter.rpartition("/")
        if command not in COMMANDS or not target:
            raise RouteNotFound(
                "An order is POST /admin/breakers/{id}/{what}, where what is one of "
                f"{', '.join(COMMANDS)} and the id is {WHAT_IDS_LOOK_LIKE}."
            )
        if not is_target(target, visit.snapshot):
            raise RouteNotFound(
                f"There is no such breaker. An id is {WHAT_IDS_LOOK_LIKE}; "
                "GET /admin/breakers?all=true lists them."
            )
        if target == EVERYTHING and command != "reset":
            raise InvalidRequest("Only 'reset' can be said to all breakers at once.")
        order = cast(BreakerCommand, command)
        # Before a reset, which leaves nothing notable behind.
        ids = [each async for each in self._list_meant(visit, target)]
        is_known = await self._walk.carry_out(visit.snapshot, target, order)
        whose = "" if is_known else await self._tell_others(visit, target, order)
        reports = await self._walk.read(ids[:MAX_SHOWN])
        return json_reply(
            {
                "message": f"{target}: {_DONE[command]}{whose}",
                "timestamp": time.time(),
                "breakers": [describe_breaker(each) for each in reports],
                "count": len(ids),
            }
        )

    def _list_meant(self, visit: Visit, target: str) -> Any:
        is_all = target == EVERYTHING
        return (self._walk.list_notable if is_all else self._walk.list_ids)(visit.snapshot, target)

    async def _tell_others(self, visit: Visit, target: str, command: BreakerCommand) -> str:
        """Have the other workers do the same, where they have breakers of their own."""
        by = f"{visit.request.method} {visit.request.path} by {visit.known_caller.key_id}"
        try:
            answer = await self._state.desk.ask("breaker", {"id": target, "command": command}, by)
        except SupervisorUnavailable:
            return " in this process"
        workers = msgspec.json.decode(answer, type=dict[str, Any]).get("workers")
        if not isinstance(workers, int):
            return ""
        return f" in {workers} worker{'s' if workers != 1 else ''}"


def describe_breaker(report: BreakerReport) -> dict[str, object]:
    """Return a breaker as it is listed."""
    name = split_breaker_id(report.id)
    return {
        "id": report.id,
        "provider": name.provider,
        "model": name.model,
        "kind": name.kind,
        "state": report.state,
        "cause": report.cause,
        "failure_count": report.failure_count,
        "last_failure_time": report.last_failure_time,
        "retry_in_s": round(report.retry_in_s, 3),
        "trips": report.trips,
        "window": {
            "calls": report.calls,
            "failed": report.failed_calls,
            "slow": report.slow_calls,
        },
        "permits_in_use": report.permits_in_use,
    }
