"""`/admin`: the configuration and the workers, for who holds an admin key; denied to all others."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from proxy.domain.errors import InvalidRequest, ProxyError, RouteNotFound
from proxy.domain.service_errors import ConfigGuarded, ConfigRejected
from proxy.domain.settings import Settings
from proxy.server.json_reply import body_reply, json_reply
from proxy.server.registrar import Registrar
from proxy.server.request_body import read_body
from proxy.server.shape import Visit
from proxy.server.state import Desk
from proxy.wire.openai_error import build_error_body

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MAX_OPTIONS_BYTES = 4096
_REFUSALS: Mapping[str, type[ProxyError]] = {"rejected": ConfigRejected, "guarded": ConfigGuarded}


class ReloadOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What the body of a reload may say."""

    allow_shrink: bool = False


class AdminEndpoints:
    """Passes on to the supervisor what only it knows and can do; its answers are the bodies."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, registrar: Registrar) -> None:
        """Add what there is, and deny everything else below `/admin`."""
        registrar.add("admin", ("POST",), "/admin/reload", self.reload)
        registrar.add("admin", ("POST",), "/admin/restart-workers", self.restart_workers)
        registrar.add("admin", ("GET",), "/admin/config", self.show_config)
        registrar.add("admin", ("GET",), "/admin/config/history", self.show_history)
        registrar.add("admin", ("GET",), "/admin/config/diff", self.show_diff)
        for pattern in ("/admin", "/admin/{path}"):
            registrar.add("admin", METHODS, pattern, answer_nothing)

    async def reload(self, visit: Visit) -> web.Response:
        """Read the configuration anew, and answer with what has come of it."""
        options = await _read_options(visit)
        answer: dict[str, Any] = msgspec.json.decode(
            await self._ask("reload", visit, {"allow_shrink": options.allow_shrink})
        )
        refusal = _REFUSALS.get(answer["result"])
        if refusal is None:
            return json_reply(answer)
        message = answer["message"]
        told = msgspec.json.decode(build_error_body(refusal(message)))
        return json_reply({"detail": message, **told, **answer}, refusal.status)

    async def restart_workers(self, visit: Visit) -> web.Response:
        """Have every worker replaced, one after the other."""
        return body_reply(await self._ask("restart_workers", visit, {}))

    async def show_config(self, visit: Visit) -> web.Response:
        """Answer with each effective value, where it comes from, and what it hides."""
        return body_reply(await self._ask("config", visit, {}))

    async def show_history(self, visit: Visit) -> web.Response:
        """Answer with the configurations that were accepted, newest first."""
        return body_reply(await self._ask("history", visit, {}))

    async def show_diff(self, visit: Visit) -> web.Response:
        """Answer with what is different between two of them, in words."""
        chosen = {side: _read_generation(visit, side) for side in ("a", "b")}
        return body_reply(await self._ask("diff", visit, chosen))

    async def _ask(self, what: str, visit: Visit, arguments: Mapping[str, object]) -> bytes:
        request = visit.request
        by = f"{request.method} {request.path} by {visit.known_caller.key_id}"
        return await self._desk.ask(what, arguments, by)


async def answer_nothing(visit: Visit) -> web.StreamResponse:
    """Answer who may administrate that this path does not exist."""
    raise RouteNotFound()


async def _read_options(visit: Visit) -> ReloadOptions:
    if not visit.request.body_exists:
        return ReloadOptions()
    settings = _with_cap(visit.snapshot.settings)
    try:
        return msgspec.json.decode(await read_body(visit.request, settings), type=ReloadOptions)
    except msgspec.MsgspecError:
        raise InvalidRequest(
            "The body may be left out; else it is a JSON object with nothing but "
            "'allow_shrink', which is true or false."
        ) from None


def _with_cap(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, max_body_bytes=MAX_OPTIONS_BYTES)


def _read_generation(visit: Visit, side: str) -> int:
    text = visit.request.query.get(side, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequest(
            "'a' and 'b' are the numbers of two generations: /admin/config/diff?a=1&b=2, "
            "as /admin/config/history lists them.",
            param=side,
        )
    return int(text)
