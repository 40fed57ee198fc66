"""Stage: what is asked? The body, read and checked."""

import time

from proxy.domain.settings import Settings
from proxy.pipeline.base import InboundRequest
from proxy.wire.base import Ask
from proxy.wire.dialects import find_dialect


async def receive(request: InboundRequest, settings: Settings) -> Ask:
    """
    Read the request's body and return what it asks for.

    Raises:
        RequestError: the body may not come (its type, encoding, size, `Expect`), comes too
            slowly or malformed, or is not a valid request.
    """
    body = await request.read_body(settings)
    operation = request.operation
    ask = find_dialect(operation).parse_ask(operation, body, request.headers, request.model)
    ask.asked_at = int(time.time())
    came_s = time.monotonic()
    ask.measure_s = lambda: time.monotonic() - came_s
    return ask
