"""One attempt: ask one deployment, and come back with what may be shown, or with an error."""

from proxy.domain.catalog import Deployment
from proxy.domain.errors import NotOffered, ProxyError, UpstreamRejected, UpstreamTimeout
from proxy.domain.exchange import OutboundRequest
from proxy.domain.key_mask import hide_secret
from proxy.domain.model_name import is_plain_name
from proxy.pipeline.board import Ticket
from proxy.pipeline.context import Attempt, Exchange
from proxy.pipeline.error_answer import Inlet
from proxy.pipeline.incoming import Incoming
from proxy.pipeline.reasoning import recall
from proxy.pipeline.stream_answer import StreamAnswer
from proxy.pipeline.trace_headers import build_trace_headers
from proxy.pipeline.whole_answer import WholeAnswer
from proxy.providers.base import ProviderType
from proxy.providers.registry import find_type
from proxy.upstream.base import Transport
from proxy.upstream.deadline import Deadline
from proxy.wire.base import Ask

SHORTEST_SECRET = 8
"""A configured header with a shorter value is not taken for one that holds a key."""

Answer = StreamAnswer | WholeAnswer


async def attempt(
    exchange: Exchange,
    ask: Ask,
    deployment: Deployment,
    ticket: Ticket,
    within_s: float | None = None,
) -> Answer:
    """
    Ask a deployment once and return its answer; its request is built from nothing.

    With `within_s` it must have something to show by then, whatever its own clocks allow.

    Raises:
        NotOffered: it cannot do what is asked, and nobody has been asked.
        ProxyError: it failed; nothing of its answer has been sent.
    """
    try:
        ask.dropped.clear()  # of an attempt before this one, as is the next
        ask.kept.clear()
        ask.stored = None
        provider_type = find_type(deployment.provider.type)
        await recall(exchange, ask, provider_type, deployment.model)
        trace_headers = build_trace_headers(exchange.trace, exchange.request.headers)
        outbound = provider_type.build_request(ask, deployment, trace_headers)
        if ask.dropped and exchange.snapshot.settings.refuses_unsupported:
            raise _refuse_dropped(ask, deployment)
        transport = exchange.transports[deployment.provider.name]
    except BaseException:  # whatever it was, nobody will report with these permits
        exchange.runtime.board.give_back(ticket)
        raise
    current = exchange.begin_attempt(deployment, ticket)
    try:
        if within_s is None:
            answer = await _ask(exchange, ask, provider_type, current, transport, outbound)
        else:
            with Deadline(within_s):
                answer = await _ask(exchange, ask, provider_type, current, transport, outbound)
    except TimeoutError:
        clock = "first_token" if ask.streams else "answer"
        error: ProxyError = UpstreamTimeout(code=f"upstream_{clock}_timeout")
        exchange.fail_attempt(error)
        raise error from None
    except ProxyError as error:
        hide_key(error, deployment)
        exchange.fail_attempt(error)
        raise
    exchange.note_content(current, streams=ask.streams)
    return answer


async def _ask(
    exchange: Exchange,
    ask: Ask,
    provider_type: ProviderType,
    current: Attempt,
    transport: Transport,
    outbound: OutboundRequest,
) -> Answer:
    inlet = Inlet()
    opened = await transport.open(outbound, inlet)
    current.note_head()
    try:
        return await Incoming(
            exchange,
            ask,
            provider_type,
            current,
            opened,
            inlet,
            is_buffered=exchange.is_buffered,
        ).read()
    except BaseException:  # a cancelled request, too, lets go of its provider at once
        opened.close()
        # A stream that was held back may have had one: no client has been told it.
        ask.response_id = None
        raise


def _refuse_dropped(ask: Ask, deployment: Deployment) -> NotOffered:
    """Return the error for a field that would be left out, where that is not wanted."""
    name = ask.dropped[0]
    ask.dropped.clear()  # nothing was left out, since nothing was sent
    what, param = (f"'{name}'", name) if is_plain_name(name) else ("A field", None)
    return NotOffered(
        f"{what} is not supported by the provider of '{deployment.model}'.", param=param
    )


def hide_key(error: ProxyError, deployment: Deployment) -> None:
    """Take what we sent as ourselves out of a provider's words: some repeat it."""
    if not isinstance(error, UpstreamRejected):
        return
    provider = deployment.provider
    secrets = [value for value in provider.headers.values() if len(value) >= SHORTEST_SECRET]
    if provider.api_key is not None:
        secrets.append(provider.api_key.reveal())
    for secret in secrets:
        error.message = hide_secret(error.message, secret)
        error.param = error.param and hide_secret(error.param, secret)
        error.code = error.code and hide_secret(error.code, secret)
