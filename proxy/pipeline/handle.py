"""
One request, from its head to its record, stage by stage.

A stage that has no work yet (cache) stands where it will be in `pipeline/README.md`.
"""

import asyncio
import logging

from proxy.domain.errors import InternalError, ProxyError
from proxy.pipeline.authenticate import authenticate
from proxy.pipeline.base import InboundRequest, ReplyWriter
from proxy.pipeline.call import call
from proxy.pipeline.context import Exchange, Runtime
from proxy.pipeline.count import count_locally
from proxy.pipeline.limit import limit, release
from proxy.pipeline.load import answer_load
from proxy.pipeline.receive import receive
from proxy.pipeline.record import record
from proxy.pipeline.refuse import interrupt, refuse
from proxy.pipeline.relay import relay
from proxy.pipeline.resume import RESUMABLE, resume
from proxy.pipeline.route import route
from proxy.telemetry.tracing import read_traceparent

_log = logging.getLogger("llm_proxy.pipeline")


async def handle(request: InboundRequest, reply: ReplyWriter, runtime: Runtime) -> None:
    """Answer one request; whatever happens, the client gets one ending and we get one record."""
    exchange = Exchange(request, reply, runtime)
    snapshot = exchange.snapshot
    try:
        exchange.trace = read_traceparent(request.headers.get("traceparent"))
        exchange.caller = caller = authenticate(request.headers, snapshot, runtime.hasher)
        await limit(exchange, caller)
        exchange.ask = ask = await receive(request, snapshot.settings)
        if ask.operation in RESUMABLE:
            await resume(runtime.responses, caller, ask)
        chosen = route(ask, request.headers, snapshot, caller, runtime.board)
        exchange.route, exchange.alias = chosen, chosen.alias
        exchange.route_reason, exchange.is_buffered = chosen.reason, chosen.is_buffered
        answer = count_locally(ask, chosen) or answer_load(ask) or await call(exchange, ask, chosen)
        await relay(exchange, answer)
        exchange.ending = "completed"
    except ProxyError as error:
        await refuse(exchange, error)
    except asyncio.CancelledError:
        if reply.is_client_gone:
            exchange.ending = "client_closed"
        else:
            interrupt(exchange)
        raise
    except Exception:  # noqa: BLE001
        # A fault of ours must cost this one client an error in its own dialect, never a
        # hung connection and never the process; the log says where it happened.
        _log.exception("request failed", extra={"request_id": exchange.request_id})
        await refuse(exchange, InternalError())
    finally:
        release(exchange)
        record(exchange)
        if exchange.error is not None:
            exchange.error.forget_origin()
