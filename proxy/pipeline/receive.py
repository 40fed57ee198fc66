"""Stage: what is asked? The body, read and checked."""

from proxy.pipeline.base import InboundRequest
from proxy.wire.base import Ask
from proxy.wire.openai_request import parse_ask


async def receive(request: InboundRequest, max_body_bytes: int) -> Ask:
    """
    Read the request's body and return what it asks for.

    Raises:
        RequestError: the body is too large, too slow, compressed, or not a valid request.
    """
    return parse_ask(request.operation, await request.read_body(max_body_bytes))
