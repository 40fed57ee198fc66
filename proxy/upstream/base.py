"""
The interface to whatever carries bytes to a provider and back.

`httptools_transport.py` (the default) and `aiohttp_transport.py` speak HTTP,
`simulator/transport.py` answers from inside the process. `tests/upstream/contract.py` holds
every transport over HTTP to the words below. The pipeline knows nothing but this file.
"""

from typing import Protocol

from proxy.domain.errors import ProxyError
from proxy.domain.exchange import OutboundRequest, ResponseHead

STALE_WITHIN_S = 1.0
"""A pooled connection that was dead already tells so within a round trip. Who takes longer may have
begun to work: whether to ask again is then not for a transport to decide."""


class BodySink(Protocol):
    """
    Where a transport pushes a response body.

    Calls come from the event loop, never overlap and never before the first `resume()`.
    After `end()` or `fail()`, and after `OpenedResponse.close()`, nothing more is called.
    None of the methods may raise.
    """

    def data(self, chunk: bytes) -> None:
        """Take the next bytes of the body, at least one; splits mean nothing."""

    def end(self) -> None:
        """Take note that the body is complete as far as HTTP can tell."""

    def fail(self, error: ProxyError) -> None:
        """Take note that the body broke; `error` says how."""


class OpenedResponse(Protocol):
    """
    An answer whose head has arrived and whose body is still paused.

    Exactly one of two things must follow: the body ends (`end`, `fail`), or the holder
    calls `close()`. Calling `close()` after the end is allowed and does nothing.
    """

    head: ResponseHead

    def resume(self) -> None:
        """Let the body flow; the first call starts it. Repeating it changes nothing."""

    def pause(self) -> None:
        """
        Stop the flow, up to the peer: at most one read that was under way still arrives.
        """

    def close(self) -> None:
        """
        Drop the body and its connection; returns at once.

        The connection is never used again, unless the whole body had come already.
        """


class Transport(Protocol):
    """
    Opens requests to one provider and owns the connections to it.

    Every address is shown to the provider's `Guard` before it is dialled, and nothing of the
    environment says where a request goes.
    """

    @property
    def has_room(self) -> bool:
        """
        A connection could be had now without waiting for someone to let go of one.

        It is asked before each attempt, and costs nothing. True promises nothing: `open` may
        still find another in front, and waits then, or raises UpstreamPoolFull.
        """

    async def open(self, request: OutboundRequest, sink: BodySink) -> OpenedResponse:
        """
        Send a request and return its answer's head; the body follows into `sink`.

        Redirects are not followed and bodies are not inflated. Cancelling the call closes
        the connection it was using. The body of an `upload` goes out as it comes in, no faster
        than the provider takes it, on a connection that is new, and only once. An answer that
        comes before its end stops it; so does what `Upload.read` raises, which then is raised
        here.

        Args:
            request: what to send; `request.clocks` bounds connect, TLS and head, in seconds.
            sink: where the body goes, once `resume()` has been called.

        Returns:
            The head with any status, also 3xx, 4xx and 5xx; the body is paused.

        Raises:
            UpstreamUnreachable: no connection (refused, reset while connecting); `code` is
                upstream_dns if the host has no address, upstream_network_down if this
                machine has no way to it, or no name server that says where it is, and
                upstream_proxy_refused if a proxy on the way lets nothing through.
            UpstreamAddressRefused: its addresses are all such as this provider may not have.
            UpstreamTlsError: the handshake failed, or the provider's `ca_file` cannot be read.
            UpstreamTimeout: `code` is upstream_connect_timeout, upstream_tls_timeout,
                upstream_header_timeout, or upstream_stalled where nothing of an upload was
                taken for `clocks.idle_s`.
            UpstreamPoolFull: as many connections as are allowed are in use.
            UpstreamNotDialled: this machine has no file, port or memory left for another one.
            UpstreamDisconnected: closed or reset before the head was complete. A connection
                that has waited in the pool, and breaks within STALE_WITHIN_S before a byte has
                come, is replaced unseen, once.
            UpstreamProtocolError: the head is not HTTP as asked for, or above our caps.

        Source: docs/decisions/0005-transport-interface.md; tests/upstream/contract.py.
        """

    def retire(self) -> None:
        """
        Keep no connection any more: the provider has left the configuration, or has changed.

        Idle connections close now. Requests under way go on, and late ones are still sent;
        each connection closes behind its answer.
        """

    async def close(self) -> None:
        """
        Close every connection; answers still open fail with UpstreamDisconnected.

        An answer that was not resumed yet fails at its first `resume()`.
        """
