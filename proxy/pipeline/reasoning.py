"""
Thoughts that clients lose: kept as an answer with calls ends, put back where a provider wants them.

A conversation that another process has begun is found where they share a store. What is not found
is told in a header, since the provider may then refuse the request, or think worse.
"""

from proxy.domain.chat import Call
from proxy.pipeline.context import Exchange
from proxy.providers.base import ProviderType
from proxy.wire.base import Ask
from proxy.wire.dialects import read_chat
from proxy.wire.kept_reasoning import fill_reasoning
from proxy.wire.raw_reasoning import list_bare_turns


async def recall(exchange: Exchange, ask: Ask, provider_type: ProviderType, model: str) -> None:
    """
    Put the thoughts back that a provider wants with the calls of a request.

    Raises:
        InvalidRequest: the request has a shape that cannot be read; `param` says which.
    """
    exchange.lacks_reasoning = False
    ask.recalled = {}
    maker = provider_type.find_maker(ask, model)
    if maker is None or exchange.caller is None:
        return
    if ask.operation == "chat" and maker == "openai":
        await _recall_raw(exchange, ask, exchange.caller.organization_id)
        return
    chat = read_chat(ask)
    if not any(isinstance(part, Call) for message in chat.messages for part in message.parts):
        return
    store, owner = exchange.runtime.reasoning, exchange.caller.organization_id
    filled = fill_reasoning(chat, maker, lambda call_id: store.find(owner, maker, call_id))
    if filled.missing and store.is_shared:
        found = await store.fetch(owner, maker, filled.missing)
        filled = fill_reasoning(filled.chat, maker, found.get)
    ask.chat = filled.chat
    # That nothing was thought is known of no answer that was translated from OpenAI's format.
    exchange.lacks_reasoning = bool(filled.missing) and maker != "openai"


async def _recall_raw(exchange: Exchange, ask: Ask, owner: str) -> None:
    """Find the thoughts for a request that is passed on as it came."""
    turns = list_bare_turns(ask.fields["messages"])
    if not turns:
        return
    store = exchange.runtime.reasoning
    missing: list[str] = []
    for ids in turns:
        found = [kept for each in ids if (kept := store.find(owner, "openai", each)) is not None]
        if not found:
            missing.append(ids[0])
        elif found[0].thoughts:
            ask.recalled[ids[0]] = found[0]
    if missing and store.is_shared:
        fetched = await store.fetch(owner, "openai", tuple(missing))
        ask.recalled |= {name: kept for name, kept in fetched.items() if kept.thoughts}
        missing = [each for each in missing if each not in fetched]
    exchange.lacks_reasoning = bool(missing)


def keep_reasoning(exchange: Exchange) -> None:
    """Keep what was thought before the calls of a complete answer, if its client lets us."""
    ask = exchange.ask
    if ask is None or not ask.kept or exchange.caller is None:
        return
    for kept in ask.kept if ask.may_be_kept else ():
        exchange.runtime.reasoning.keep(exchange.caller.organization_id, kept)
    ask.kept.clear()
