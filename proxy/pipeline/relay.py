"""Stage: give the client its answer, and say honestly when it breaks."""

from proxy.pipeline.context import Exchange
from proxy.pipeline.reasoning import keep_reasoning
from proxy.pipeline.reply_head import build_json_head, build_stream_head
from proxy.pipeline.resume import keep_response
from proxy.pipeline.stream_answer import StreamAnswer
from proxy.pipeline.whole_answer import WholeAnswer


async def relay(exchange: Exchange, answer: StreamAnswer | WholeAnswer) -> None:
    """
    Send an answer to the client.

    Raises:
        ProxyError: a stream broke after its commit point; what was good of it has been sent
            and the reply is still open for the error.
    """
    if isinstance(answer, WholeAnswer):
        keep_reasoning(exchange)
        if keep_response(exchange):
            await exchange.runtime.responses.settle()
        if answer.is_stream:
            await _begin_stream(exchange)
            exchange.reply.data(answer.body)
            await exchange.reply.end()
            return
        exchange.status = 200
        await exchange.reply.send(200, build_json_head(exchange), answer.body)
        return
    try:
        # What a provider keeps it has begun to keep: its client may leave, and come back for it.
        has_kept = keep_response(exchange)
        await _begin_stream(exchange)
        await answer.deliver(exchange.reply)
        # Before the client can have taken all of it: its next request may need this.
        keep_reasoning(exchange)
        if keep_response(exchange) or has_kept:
            await exchange.runtime.responses.settle()
        answer.deliver_end()
        await exchange.reply.end()
    finally:
        exchange.usage, exchange.anomalies = answer.usage, answer.anomalies
        answer.close()


async def _begin_stream(exchange: Exchange) -> None:
    """Send the head of a stream, unless it went out while the provider was silent."""
    if not exchange.reply.started:
        await exchange.start_reply(build_stream_head(exchange))
