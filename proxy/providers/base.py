"""
A provider type: how an entry of the catalog and a client's request become an outbound request,
and how what comes back is made regular. Pure: no I/O, no clock.
"""

from collections.abc import Mapping
from typing import Protocol

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.chat import Maker
from proxy.domain.exchange import Operation, OutboundRequest
from proxy.domain.health import ProbeReading
from proxy.domain.settings import Clocks
from proxy.wire.base import Ask, CheckedAnswer, StreamReader


class ProviderType(Protocol):
    """Everything that is special about one kind of provider."""

    name: str
    stream_type: str
    """The media type of its streams; what is said to be something else must show what it is."""
    counts: frozenset[Operation]
    """The questions for how many tokens a prompt has that it can be asked; others we estimate."""

    def build_request(
        self, ask: Ask, deployment: Deployment, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """
        Return the request to send for `ask` at `deployment`.

        Headers are built from nothing: of the client's only `trace_headers` are in them.
        Fields that this provider does not take are left out and named in `ask.dropped`.

        Raises:
            InvalidRequest: the provider has no such operation, or the request cannot be read.
            NotOffered: the request has something that the provider cannot do and that must not
                be left out; another may be able to.
        """

    def find_maker(self, ask: Ask, model: str) -> Maker | None:
        """
        Return whose thoughts must come back with the calls that they led to; None: nobody's.

        Args:
            ask: what is asked; only of one that is written anew by way of `read_chat`.
            model: the deployment's.

        Raises:
            InvalidRequest: a part of it has a shape that cannot be read; `param` says which.
        """

    def open_stream(self, ask: Ask, max_event_bytes: int) -> StreamReader:
        """Return the reader for one streamed answer to `ask`."""

    def read_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """
        Check a complete 200 answer's body and return the client's body and its usage.

        Raises:
            UpstreamError: an error inside the 200, or a body that is not the dialect.
        """

    def stream_answer(self, ask: Ask, body: bytes) -> CheckedAnswer:
        """
        Check a complete 200 answer that was to be a stream, and return it as the client's stream.

        Raises:
            UpstreamError: an error inside the 200, or a body that is not the dialect.
        """

    def build_probe(self, provider: Provider, clocks: Clocks) -> OutboundRequest | None:
        """
        Return what to send to learn how a provider is, by its `probe`; None: nothing can be.

        A `free` probe costs no tokens at any provider. One by `completion` asks its first listed
        model for a single token; whoever sends it sees to it that it may be paid for. Nothing in
        a probe tells a provider that it is one: it is billed to nobody because it never comes
        through the pipeline, which is where usage is recorded.

        Args:
            provider: whom to ask, how, and with which key.
            clocks: of the request. Its `streams` is False, so that `answer_s` bounds all of it.

        Source: docs/health.md lists what is asked of whom; docs/providers.md has it by type.
        """

    def read_probe(self, provider: Provider, status: int, body: bytes) -> ProbeReading:
        """
        Return what an answer to `build_probe` says.

        Args:
            provider: the one that was asked, as `build_probe` has got it.
            status: of the answer.
            body: of the answer, at most the MAX_PROBE_BODY_BYTES of `probe_answer.py`; nothing
                of it is in what is returned but the names of models.
        """
