"""
Stage: what does it go on from? A request of the Responses API may name an earlier response.

What is kept here becomes the history of the request. What is kept by a provider leads the request
to that provider. Anything else is refused before a provider hears of it: all clients share its
account there, and it would find what belongs to another of them.
"""

from collections import Counter
from contextlib import suppress
from typing import NoReturn

from msgspec import Raw
from msgspec.structs import replace

from proxy.domain.errors import InvalidRequest
from proxy.domain.exchange import Operation
from proxy.domain.identity import Caller
from proxy.domain.service_errors import ResponseNotFound, ResponseStoreUnavailable
from proxy.domain.stored_response import StoredResponse
from proxy.pipeline.context import Exchange
from proxy.stores.base import ResponseStore
from proxy.wire.base import Ask
from proxy.wire.responses_answer import list_item_ids, read_output
from proxy.wire.responses_items import (
    INPUT,
    PREVIOUS,
    find_bare_ids,
    find_items,
    find_references,
    list_history,
    read_previous,
    replace_references,
)

RESUMABLE = frozenset[Operation](("responses", "input_tokens"))
MOST_REFERENCES = 256
"""Items of earlier answers that one request may refer to: each may cost a look into the store."""

MOST_REFERRED_BYTES = 32 * 1024 * 1024
"""Of all of them together, an item counted as often as it is referred to."""


async def resume(store: ResponseStore, caller: Caller, ask: Ask) -> None:
    """
    Find what a request goes on from: its `history`, or the provider that it is `pinned` to.

    References to items that are kept here become these items, and of items that are kept by a
    provider it is noted by which.

    Raises:
        InvalidRequest: nothing is kept under the id for this caller, or what is gone on from is
            kept by two different providers.
        ResponseNotFound: the same of an item that the input refers to.
        ResponseStoreUnavailable: whether it is kept cannot be told now.
    """
    previous = read_previous(ask)
    if previous is not None:
        stored = await find_response(store, caller, previous)
        if stored is None:
            raise InvalidRequest(
                f"Previous response with id '{_shorten(previous)}' not found.",
                param=PREVIOUS,
                code="previous_response_not_found",
            )
        if stored.provider is None:
            ask.history = list_history(stored)
        ask.pinned = stored.provider
    references = Counter(find_references(ask))
    if references:
        await _resolve(store, caller, ask, references)
    if bare := find_bare_ids(ask)[:MOST_REFERENCES]:
        await _find_keepers(store, caller, ask, bare)


async def find_response(
    store: ResponseStore, caller: Caller, response_id: str
) -> StoredResponse | None:
    """Return what is kept under the id of a response for a caller, who may ask for its model."""
    stored = await store.find(caller.organization_id, response_id)
    if stored is None or stored.id != response_id or not caller.may_ask_for(stored.model):
        return None
    return stored


def keep_response(exchange: Exchange) -> bool:
    """Keep what a later request may go on from; return whether the answer has left anything."""
    ask = exchange.ask
    if ask is None or ask.stored is None or exchange.caller is None:
        return False
    stored, ask.stored = ask.stored, None
    if stored.provider is not None:
        stored = replace(stored, provider=exchange.provider_name)
    else:
        stored = replace(stored, item_ids=list_item_ids(read_output(stored.body)))
    exchange.runtime.responses.keep(exchange.caller.organization_id, stored)
    return True


async def _resolve(
    store: ResponseStore, caller: Caller, ask: Ask, references: Counter[str]
) -> None:
    """Put the items of earlier answers in, or see to it that they are where the request goes."""
    if len(references) > MOST_REFERENCES:
        raise InvalidRequest(f"'{INPUT}' refers to more than {MOST_REFERENCES} items.", param=INPUT)
    items: dict[str, Raw] = {}
    room_bytes = MOST_REFERRED_BYTES
    for item_id in references:
        if item_id in items:
            continue
        stored = await store.find(caller.organization_id, item_id)
        if stored is None or not caller.may_ask_for(stored.model):
            _refuse_item(item_id)
        if stored.provider is None:
            found = find_items(stored, references.keys())
            items |= found
            room_bytes -= sum(
                len(memoryview(item)) * references[each] for each, item in found.items()
            )
            if room_bytes < 0:
                raise InvalidRequest(
                    f"'{INPUT}' refers to more than {MOST_REFERRED_BYTES} bytes.", param=INPUT
                )
            if item_id not in items:
                _refuse_item(item_id)
        else:
            _pin(ask, stored.provider)
    if items:
        replace_references(ask, items)


async def _find_keepers(store: ResponseStore, caller: Caller, ask: Ask, bare: list[str]) -> None:
    """Note who keeps items for a caller; those of one answer are found together."""
    ask.keepers = dict.fromkeys(bare)
    with suppress(ResponseStoreUnavailable):
        for item_id in bare:
            if ask.keepers[item_id] is not None:
                continue
            stored = await store.find(caller.organization_id, item_id)
            if stored is not None and caller.may_ask_for(stored.model):
                same = ask.keepers.keys() & (item_id, *stored.item_ids)
                ask.keepers |= dict.fromkeys(same, stored.provider)


def _pin(ask: Ask, provider: str) -> None:
    if ask.history or ask.pinned not in (None, provider):
        raise InvalidRequest(
            "What this goes on from is kept by two different providers; send it as a whole.",
            param=INPUT,
        )
    ask.pinned = provider


def _refuse_item(item_id: str) -> NoReturn:
    raise ResponseNotFound(f"Item with id '{_shorten(item_id)}' not found.", param=INPUT)


def _shorten(an_id: str) -> str:
    return an_id if len(an_id) <= 80 else f"{an_id[:80]}..."
