"""
Requests and answers of the samples with parts changed, lost or added: nothing of it may crash.

The changes are made by numbered seeds, so that a failure can be looked at again.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.domain.errors import ProxyError
from proxy.providers.registry import find_type
from proxy.wire.dialects import find_dialect
from tests.providers.hub_reading import values_of
from tests.providers.hub_samples import (
    PROVIDERS,
    find_deployment,
    list_samples,
    open_ask,
    read_json,
    read_response,
)

ALL = [sample for sample in list_samples() if not sample[0].name.startswith("error_")]
ALL_OF = {name: [sample for sample in ALL if sample[0].parent.name == name] for name in PROVIDERS}
ODD = [
    *("null", "true", "0", "-1", "1.5", '""', '"x"', "[]", "{}", "[{}]", "[null]", '["a",1]'),
    *('{"type":"text"}', '{"a":[1]}', '"data:image/png;base64,!!"', '"lp1.gemini."', '"lp1."'),
    *('"{"', '"{\\"a\\":1}"', "1" + "0" * 30, '"call|1"'),
]
NAMES = ("type", "text", "content", "extra", "name", "id", "signature", "x\r\ny")
ROUNDS = 500


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return where each part of a value stands in it."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in items:
        if isinstance(inner, dict | list):
            yield from paths(inner, (*path, name))
        else:
            yield (*path, name)


def mutate(chance: random.Random, value: Any) -> Any:
    """Return a value of which up to three parts are others, gone, or new."""
    value = json.loads(json.dumps(value))
    for _ in range(chance.randint(1, 3)):
        places = list(paths(value))
        if not places:
            break
        *way, last = chance.choice(places)
        holder = value
        for name in way:
            holder = holder[name]
        deed, odd = chance.random(), json.loads(chance.choice(ODD))
        if deed < 0.6:
            holder[last] = odd
        elif deed < 0.8:
            del holder[last]
        elif isinstance(holder, dict):
            holder[chance.choice(NAMES)] = odd
        else:
            holder.append(odd)
    return value


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_changed_request_is_written_or_refused(provider: str) -> None:
    """Whatever a client sends, a request goes out that is JSON, or an error says why not."""
    deployment = find_deployment(ALL_OF[provider][0][0])
    written = 0
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        case, operation = chance.choice(ALL)
        body = mutate(chance, read_json(case / f"request.{operation}.json"))
        try:
            ask = find_dialect(operation).parse_ask(operation, json.dumps(body).encode(), {})
            request = find_type(provider).build_request(ask, deployment, {})
        except ProxyError:
            continue
        json.loads(request.body)
        written += 1
    assert written > ROUNDS / 10


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_changed_answer_is_read_or_refused(provider: str) -> None:
    """Whatever a provider sends, the client gets JSON, or an error says why not."""
    read = 0
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        sample = chance.choice(ALL_OF[provider])
        _, kind, body = read_response(sample[0])
        ask, type_ = open_ask(sample), find_type(provider)
        type_.build_request(ask, find_deployment(sample[0]), {})
        if kind == "json":
            try:
                changed = json.dumps(mutate(chance, json.loads(body))).encode()
                json.loads(type_.read_answer(ask, changed).body)
            except ProxyError:
                continue
        else:
            reader = type_.open_stream(ask, 1 << 20)
            out = reader.feed(change_stream(chance, body.decode())) + reader.finish()
            list(values_of(out))
            if reader.error is not None:
                continue
        read += 1
    assert read > ROUNDS / 10


def change_stream(chance: random.Random, body: str) -> bytes:
    """Return a stream with one event changed, lost, or doubled at another place."""
    between, start = ("\n\n", "data: ") if "data: " in body else ("\n", "{")
    events = body.split(between)
    place, deed = chance.randrange(len(events)), chance.random()
    head, mark, data = events[place].partition(start)
    if start == "{":
        mark, data = "", mark + data
    if deed < 0.1:
        del events[place]
    elif deed < 0.2:
        events.insert(place, chance.choice(events))
    elif data.startswith("{") and data.endswith("}"):
        events[place] = head + mark + json.dumps(mutate(chance, json.loads(data)))
    return between.join(events).encode()
