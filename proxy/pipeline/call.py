"""
Stage: ask a provider, and come back with an answer that may be shown to the client.

For a stream that is the commit point: the first event with content has been read. Until
then nothing of the attempt has reached the client, whatever went wrong.
"""

from collections.abc import Sequence

from proxy.domain.catalog import Deployment
from proxy.domain.errors import DeadlineExceeded, ProxyError, UpstreamRejected
from proxy.domain.key_mask import hide_secret
from proxy.pipeline.context import Exchange
from proxy.pipeline.incoming import Incoming, Inlet
from proxy.pipeline.signs_of_life import SignsOfLife
from proxy.pipeline.stream_answer import StreamAnswer
from proxy.pipeline.trace_headers import build_trace_headers
from proxy.pipeline.whole_answer import WholeAnswer
from proxy.providers.registry import find_type
from proxy.upstream.deadline import Deadline
from proxy.wire.base import Ask

SHORTEST_SECRET = 8
"""A configured header with a shorter value is not taken for one that holds a key."""


async def call(
    exchange: Exchange, ask: Ask, candidates: Sequence[Deployment]
) -> StreamAnswer | WholeAnswer:
    """
    Ask the first of the candidates and return its answer.

    Raises:
        ProxyError: it failed, or `request_timeout` ran out; nothing of its answer has been sent.
    """
    signs_of_life = SignsOfLife(exchange) if ask.streams else None
    try:
        with Deadline(exchange.snapshot.settings.request_timeout_s):
            return await _attempt(exchange, ask, candidates[0])
    except TimeoutError:
        error = DeadlineExceeded()
        exchange.fail_attempt(error)
        raise error from None
    finally:
        if signs_of_life is not None:
            signs_of_life.stop()


async def _attempt(
    exchange: Exchange, ask: Ask, deployment: Deployment
) -> StreamAnswer | WholeAnswer:
    provider_type = find_type(deployment.provider.type)
    trace_headers = build_trace_headers(exchange.trace, exchange.request.headers)
    outbound = provider_type.build_request(ask, deployment, trace_headers)
    transport = exchange.transports[deployment.provider.name]
    attempt = exchange.begin_attempt(deployment)
    inlet = Inlet()
    try:
        opened = await transport.open(outbound, inlet)
        attempt.note_head()
        try:
            return await Incoming(exchange, ask, provider_type, attempt, opened, inlet).read()
        except BaseException:  # a cancelled request, too, lets go of its provider at once
            opened.close()
            raise
    except ProxyError as error:
        _hide_key(error, deployment)
        exchange.fail_attempt(error)
        raise


def _hide_key(error: ProxyError, deployment: Deployment) -> None:
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
