"""How every request's body begins to become an `Ask`, in whatever dialect: fields, and names."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.wire.base import Ask
from proxy.wire.json_text import JsonError, encode, parse_object
from proxy.wire.openai_fields import Check, check_spelling, read_value
from proxy.wire.routing_fields import join_names, take_names

_decode_text = msgspec.json.Decoder(str).decode


def start_ask(
    operation: Operation, body: bytes, checks: Mapping[str, Check], model: str | None = None
) -> Ask:
    """
    Return an Ask that knows its fields, its model, and where else it may go.

    Args:
        operation: of the client.
        body: the whole body, JSON in UTF-8.
        checks: by the names of fields; those that came are checked, in their order.
        model: the one that the request's path names, which goes before the body's; None: the
            body names it.

    Returns:
        An Ask whose `fields` hold every top-level field byte-identical, without `models` and
        `fallbacks`, which are ours.

    Raises:
        InvalidRequest: with `param` set to the field, or None if the body is no JSON object.

    Source: tests/wire/test_ask_start.py.
    """
    try:
        fields = parse_object(body)
    except JsonError as error:
        raise InvalidRequest(str(error), param=error.name, code=error.code) from None
    if model is not None:
        fields["model"] = Raw(encode(model))
    check_spelling(fields)
    for name, raw in fields.items():
        check = checks.get(name)
        if check is not None:
            check(name, raw)
    names = take_names(fields)
    model = read_value("model", fields.get("model"), _decode_text, "must be a string")
    if not model and names is not None and names.from_models:
        model = names.from_models[0]
        fields["model"] = Raw(encode(model))
    if not model:
        raise InvalidRequest("'model' must name a model; GET /v1/models lists them.", param="model")
    ask = Ask(operation, model, fields)
    if names is not None:
        ask.fallbacks, ask.models_count = join_names(model, names)
    return ask
