"""How a failed request is told to its client: by status while that is possible, else in-stream."""

from proxy.domain.errors import ProxyError
from proxy.domain.service_errors import ServerShutdown
from proxy.pipeline.context import Exchange
from proxy.pipeline.reply_head import build_error_head
from proxy.wire.dialects import find_dialect


async def refuse(exchange: Exchange, error: ProxyError) -> None:
    """
    Answer with an error, in the client's dialect; a stream ends without `[DONE]`.

    Behind an answer that is whole already it would be taken for the beginning of the next.
    """
    exchange.ending = "failed"
    exchange.error = error
    reply = exchange.reply
    dialect = find_dialect(exchange.request.operation)
    if reply.is_open:
        reply.data(dialect.build_error_event(error, exchange.request_id, exchange.ask))
        await reply.end()
    elif not reply.started:
        exchange.status = error.status
        body = dialect.build_error_body(error, exchange.request_id)
        await reply.send(error.status, build_error_head(exchange, error), body)


def interrupt(exchange: Exchange) -> None:
    """Tell a client whose stream this server cuts off why it ends; there is no time to wait."""
    exchange.ending = "interrupted"
    exchange.error = ServerShutdown()
    if exchange.reply.is_open:
        dialect = find_dialect(exchange.request.operation)
        event = dialect.build_error_event(exchange.error, exchange.request_id, exchange.ask)
        exchange.reply.data(event)
        # Without an end of its body clients would meet a broken connection before the reason.
        exchange.reply.end_at_once()
