"""Stage: what is asked? The body, read and checked."""

import time

from msgspec import Raw

from proxy.domain.settings import Settings
from proxy.pipeline.base import InboundRequest
from proxy.wire.base import Ask
from proxy.wire.dialects import find_dialect
from proxy.wire.json_text import JsonError, build_object, encode, parse_object


async def receive(request: InboundRequest, settings: Settings) -> Ask:
    """
    Read the request's body and return what it asks for.

    Raises:
        RequestError: the body may not come (its type, encoding, size, `Expect`), comes too
            slowly or malformed, or is not a valid request.
    """
    body = await request.read_body(settings)
    if request.model is not None:
        body = _name_model(body, request.model)
    ask = find_dialect(request.operation).parse_ask(request.operation, body, request.headers)
    ask.asked_at = int(time.time())
    return ask


def _name_model(body: bytes, model: str) -> bytes:
    """Return a body that asks for a model; one that cannot be read stays as it is."""
    try:
        fields: dict[str, Raw | bytes] = dict(parse_object(body))
    except JsonError:
        return body  # the dialect says what is wrong with it
    return build_object({**fields, "model": encode(model)})
