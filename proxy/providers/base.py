"""
A provider type: how an entry of the catalog and a client's request become an outbound request,
and how what comes back is made regular. Pure: no I/O, no clock.
"""

from collections.abc import Mapping
from typing import Protocol

from proxy.domain.catalog import Deployment
from proxy.domain.exchange import OutboundRequest
from proxy.wire.base import Ask, CheckedAnswer, StreamReader


class ProviderType(Protocol):
    """Everything that is special about one kind of provider."""

    name: str

    def build_request(
        self, ask: Ask, deployment: Deployment, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """
        Return the request to send for `ask` at `deployment`.

        Headers are built from nothing: of the client's only `trace_headers` are in them.
        Fields that this provider does not take are left out and named in `ask.dropped`.

        Raises:
            InvalidRequest: the provider has no such operation.
        """

    def open_stream(self, ask: Ask, max_event_bytes: int) -> StreamReader:
        """Return the reader for one streamed answer to `ask`."""

    def read_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """
        Check a complete 200 answer's body and return the client's body and its usage.

        Raises:
            UpstreamError: an error inside the 200, or a body that is not the dialect.
        """
