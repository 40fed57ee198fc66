"""Stage: give the client its answer, and say honestly when it breaks."""

from proxy.pipeline.call import WholeAnswer
from proxy.pipeline.context import Exchange
from proxy.pipeline.reply_head import build_json_head, build_stream_head
from proxy.pipeline.stream_answer import StreamAnswer


async def relay(exchange: Exchange, answer: StreamAnswer | WholeAnswer) -> None:
    """
    Send an answer to the client.

    Raises:
        ProxyError: a stream broke after its commit point; what was good of it has been sent
            and the reply is still open for the error.
    """
    if isinstance(answer, WholeAnswer):
        exchange.status = 200
        await exchange.reply.send(200, build_json_head(exchange), answer.body)
        return
    try:
        if not exchange.reply.started:
            await exchange.start_reply(build_stream_head(exchange))
        await answer.deliver(exchange.reply)
        await exchange.reply.end()
    finally:
        exchange.usage = answer.usage
        answer.close()
