"""Requests that pass to one provider as they came: its address, its key, and nothing translated."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from msgspec import Struct

from proxy.domain.catalog import Provider
from proxy.domain.errors import NotOffered
from proxy.domain.exchange import OutboundRequest, PassedOperation, Upload
from proxy.providers.headers import build_headers
from proxy.providers.kind import Kind


class PassedRequest(Struct, frozen=True):
    """What is asked of a provider whose answer is nobody's here to translate."""

    operation: PassedOperation
    method: str = "POST"
    rest: str = ""
    """What stands behind the operation's path, such as `/file-1/content`; safe as it is."""
    query: str = ""
    """Without its `?`; safe as it is."""
    model: str = ""
    """Its name at the provider; "" where none is asked for."""
    content_type: str | None = None
    body: bytes = b""
    upload: Upload | None = None
    """The body that still comes in; then `body` is empty."""


@runtime_checkable
class Passer(Protocol):
    """A ProviderType (see `providers/base.py`) that also takes what is passed as it came."""

    def build_passed_request(
        self, asked: PassedRequest, provider: Provider, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """
        Return the request to send; of the client's headers only `trace_headers` are in it.

        Raises:
            NotOffered: this provider has no such operation.

        Source: docs/pass-through.md.
        """


def find_passed_path(kind: Kind, asked: PassedRequest) -> str:
    """
    Return the path of what is asked, behind `base_url`.

    Raises:
        NotOffered: the type has no such operation.
    """
    path = kind.passes.get(asked.operation)
    if path is None:
        raise refuse_operation(kind.title, asked.operation)
    return path + asked.rest


def refuse_operation(title: str, operation: PassedOperation) -> NotOffered:
    """Return the error for an operation that a provider of this name does not have."""
    return NotOffered(
        f"The provider of this model ({title}) offers no {operation}.",
        param="model",
        code="unsupported_operation",
    )


def build_outbound(
    asked: PassedRequest,
    provider: Provider,
    url: str,
    key_header: tuple[str, str] | None,
    trace_headers: Mapping[str, str],
) -> OutboundRequest:
    """Return the request to send to an address, with a provider's key."""
    if asked.query:
        url += ("&" if "?" in url else "?") + asked.query
    headers = build_headers(provider, key_header, {"Accept": "*/*", **trace_headers}, streams=False)
    if asked.content_type is None:
        headers.pop("Content-Type", None)
    else:
        headers["Content-Type"] = asked.content_type
    return OutboundRequest(
        provider=provider.name,
        method=asked.method,
        url=url,
        headers=headers,
        body=asked.body,
        streams=False,
        clocks=provider.clocks,
        pool=provider.pool,
        model=asked.model,
        upload=asked.upload,
    )
