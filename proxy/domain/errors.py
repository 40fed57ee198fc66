"""
Every way a request can fail, as one tree.

    ProxyError
    ├── RequestError                 the client can mend it (4xx)
    │   ├── InvalidRequest           400  invalid_request_error
    │   │   └── NotOffered           400  this provider cannot do it, another may
    │   ├── InvalidApiKey            401  authentication_error / invalid_api_key
    │   ├── PermissionDenied         403  permission_error
    │   ├── RouteNotFound            404  invalid_request_error / not_found
    │   ├── ModelNotFound            404  invalid_request_error / model_not_found
    │   ├── MethodNotAllowed         405  invalid_request_error / method_not_allowed
    │   ├── RequestTimeout           408  timeout_error / request_timeout
    │   ├── BodyTooLarge             413  invalid_request_error / request_too_large
    │   ├── UnsupportedMediaType     415  invalid_request_error / unsupported_media_type
    │   ├── ExpectationFailed        417  invalid_request_error / expectation_failed
    │   ├── HeadTooLarge             431  invalid_request_error / request_head_too_large
    │   └── LimitExceeded            429  rate_limit_error / rate_limit_exceeded
    ├── UpstreamError                502  upstream_error: the provider's fault
    │   ├── UpstreamUnreachable      502  refused, reset while connecting, no address
    │   ├── UpstreamAddressRefused   502  its name leads to an address that it may not have
    │   ├── UpstreamPoolFull         503  all of `max_connections` are in use
    │   ├── UpstreamNotDialled       503  no open file or port is left here for a connection
    │   ├── UpstreamTlsError         502
    │   ├── UpstreamDisconnected     502  reset, or closed where more had to come
    │   ├── UpstreamTruncated        502  ended before its answer was complete
    │   ├── UpstreamProtocolError    502  not the dialect that was asked for
    │   ├── UpstreamTooLarge         502  one event or answer above our cap
    │   ├── UpstreamRedirect         502  redirects are never followed
    │   ├── UpstreamAuthError        502  our key was refused (never the client's 401)
    │   ├── UpstreamModelNotFound    502  the provider does not know the model
    │   ├── UpstreamServerError      502  5xx, or an error inside a 200
    │   ├── UpstreamRateLimited      429  rate_limit_error
    │   ├── UpstreamQuotaExhausted   429  insufficient_quota
    │   ├── UpstreamOverloaded       503  overloaded_error
    │   ├── UpstreamTimeout          504  timeout_error: one of our clocks ran out
    │   └── UpstreamRejected         4xx  the provider calls the request wrong
    ├── ServerOverloaded             503  overloaded_error / server_overloaded
    ├── NoHealthyProvider            503  overloaded_error / no_healthy_provider
    ├── DeadlineExceeded             504  timeout_error / deadline_exceeded
    └── InternalError                500  internal_error

Each knows its HTTP status, its public type and code, whether another attempt may help and whether
it counts against a provider's health. Clients may read `message`, the operator's log has `detail`:
neither ever holds a key, a prompt or an upstream page. More of the tree: `service_errors.py`.
"""

from typing import ClassVar

from proxy.domain.model_name import is_plain_name


class ProxyError(Exception):
    """One failed request: what a client may read, and what we may do about it."""

    status: int = 500
    type: str = "internal_error"
    code: str | None = None
    may_retry: ClassVar[bool] = False
    counts_against_health: ClassVar[bool] = False
    default_message: ClassVar[str] = "The proxy failed to answer this request."

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        detail: str | None = None,
    ) -> None:
        self.message = self.default_message if message is None else message
        self.param = param
        self.code = self.code if code is None else code
        self.retry_after_s = retry_after_s
        self.detail = detail
        super().__init__(self.message)

    def forget_origin(self) -> None:
        """Let go of tracebacks, and of all their frames: rings, some of which hold a request."""
        self.__traceback__ = self.__context__ = self.__cause__ = None


class RequestError(ProxyError):
    """The request itself is wrong; the same request will fail again everywhere."""

    status = 400
    type = "invalid_request_error"
    default_message = "The request is invalid."


class InvalidRequest(RequestError):
    """A body, field or header that we or the dialect do not accept."""


class NotOffered(InvalidRequest):
    """What this provider cannot do and may not leave out; another may be able to do it."""

    code = "unsupported_parameter"


class InvalidApiKey(RequestError):
    """No key, or a key that is not ours."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"
    default_message = (
        "Invalid API key. Send a key of this proxy as 'Authorization: Bearer <key>' "
        "or in the header 'X-API-Key' or 'api-key'."
    )


class PermissionDenied(RequestError):
    """A good key that may not do this."""

    status = 403
    type = "permission_error"
    code = "permission_denied"
    default_message = "This key may not do that."


class RouteNotFound(RequestError):
    """No such path."""

    status = 404
    code = "not_found"
    default_message = "There is no such path here."


class ModelNotFound(RequestError):
    """The name is no alias, no model and no `provider/model` of this proxy."""

    status = 404
    code = "model_not_found"

    def __init__(self, model: str, param: str = "model") -> None:
        # Anything may come as a name: a megabyte, a prompt, what a terminal obeys. None goes back.
        shown = f"The model '{model}'" if is_plain_name(model) else "The model that was asked for"
        super().__init__(f"{shown} does not exist.", param=param)


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"
    default_message = "This path does not take that method."


class RequestTimeout(RequestError):
    """The client did not send its request in time."""

    status = 408
    type = "timeout_error"
    code = "request_timeout"
    default_message = "The request was not received in time."


class BodyTooLarge(RequestError):
    """The request body passes `max_body_bytes`."""

    status = 413
    code = "request_too_large"
    default_message = "The request body is too large."


class UnsupportedMediaType(RequestError):
    """A content type or encoding that this route does not read."""

    status = 415
    code = "unsupported_media_type"
    default_message = "Send the body as uncompressed 'application/json'."


class ExpectationFailed(RequestError):
    """An `Expect` header that asks for something else than 100-continue."""

    status = 417
    code = "expectation_failed"
    default_message = "The only expectation that can be met here is 'Expect: 100-continue'."


class HeadTooLarge(RequestError):
    """Request line, one header or their number above our caps."""

    status = 431
    code = "request_head_too_large"
    default_message = (
        "The request's head is too large: its first line and each of its headers may have "
        "8190 bytes, and there may be 128 headers."
    )


class LimitExceeded(RequestError):
    """The caller's own limit with us."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    default_message = "Too Many Requests: the rate limit of this key is used up."


class UpstreamError(ProxyError):
    """The provider failed; nothing in the request can mend it."""

    status = 502
    type = "upstream_error"
    code: str | None = "upstream_error"
    may_retry = True
    counts_against_health = True
    default_message = "The provider failed to answer."


class UpstreamUnreachable(UpstreamError):
    """No connection: refused, reset while connecting, or no address."""

    code = "upstream_unreachable"
    default_message = "The provider could not be reached."


class UpstreamAddressRefused(UpstreamError):
    """The provider's name leads to an address that it may not have (see `upstream/guard.py`)."""

    code = "upstream_address_refused"
    default_message = "The provider's name leads to an address that is not allowed to it."


class UpstreamPoolFull(UpstreamError):
    """Every connection that we allow ourselves to the provider is in use: its health is fine."""

    status = 503
    type = "overloaded_error"
    code = "upstream_pool_full"
    counts_against_health = False
    default_message = "All providers are currently unavailable: all connections are in use."


class UpstreamNotDialled(UpstreamPoolFull):
    """This machine has no open file or port left for a connection: the same, and not by choice."""

    code = "upstream_not_dialled"
    default_message = "All providers are currently unavailable: no connection could be opened here."


class UpstreamTlsError(UpstreamError):
    """The TLS handshake failed; plain HTTP is never tried instead."""

    code = "upstream_tls_error"
    default_message = "The provider's TLS certificate or handshake was refused."


class UpstreamDisconnected(UpstreamError):
    """The connection broke where more had to come."""

    code = "upstream_disconnected"
    default_message = "The provider closed the connection before its answer was complete."


class UpstreamTruncated(UpstreamError):
    """The body ended cleanly, but before the answer was complete."""

    code = "upstream_truncated"
    default_message = "The provider's answer ended before it was complete."


class UpstreamProtocolError(UpstreamError):
    """Bytes that are not the dialect which was asked for."""

    code = "upstream_protocol_error"
    default_message = "The provider's answer is not valid."


class UpstreamTooLarge(UpstreamError):
    """One event or one answer above our cap."""

    code = "upstream_too_large"
    default_message = "The provider's answer is larger than this proxy accepts."


class UpstreamRedirect(UpstreamError):
    """A 3xx answer."""

    code = "upstream_redirect"
    default_message = "The provider answered with a redirect, which is never followed."


class UpstreamAuthError(UpstreamError):
    """Our key was refused: the operator's business, never the client's 401."""

    code = "upstream_auth"
    counts_against_health = False
    default_message = "The provider refused this proxy's credentials."


class UpstreamModelNotFound(UpstreamError):
    """The provider does not know a model that we list for it."""

    code = "upstream_model_not_found"
    counts_against_health = False
    default_message = "The provider does not know this model."


class UpstreamServerError(UpstreamError):
    """A 5xx, or an error object inside a 200."""

    code = "upstream_server_error"
    default_message = "The provider reported an internal error."


class UpstreamRateLimited(UpstreamError):
    """The provider's 429."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    counts_against_health = False
    default_message = "Too Many Requests: the provider's rate limit is used up."


class UpstreamQuotaExhausted(UpstreamRateLimited):
    """The provider's account is out of money; waiting does not help."""

    type = "insufficient_quota"
    code = "insufficient_quota"
    default_message = "Too Many Requests: the provider's quota is used up."


class UpstreamOverloaded(UpstreamError):
    """503 or 529: healthy, but full."""

    status = 503
    type = "overloaded_error"
    code = "upstream_overloaded"
    default_message = "All providers are currently unavailable: the provider is overloaded."


class UpstreamTimeout(UpstreamError):
    """One of our clocks ran out; `code` says which."""

    status = 504
    type = "timeout_error"
    code = "upstream_timeout"
    default_message = "Gateway Timeout: the provider did not answer in time."


class UpstreamRejected(UpstreamError):
    """The provider calls the request wrong: its 4xx is the client's to read and mend."""

    status = 400
    type = "invalid_request_error"
    code = None
    may_retry = False
    counts_against_health = False
    default_message = "The provider refused the request."

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.status = status


class ServerOverloaded(ProxyError):
    """This server has as many requests under way as it takes."""

    status = 503
    type = "overloaded_error"
    code = "server_overloaded"
    default_message = "This server has too many requests under way; send the request again."


class NoHealthyProvider(ProxyError):
    """Nothing to send the request to."""

    status = 503
    type = "overloaded_error"
    code = "no_healthy_provider"
    default_message = "All providers are currently unavailable."


class DeadlineExceeded(ProxyError):
    """`request_timeout` ran out over all attempts."""

    status = 504
    type = "timeout_error"
    code = "deadline_exceeded"
    default_message = "Gateway Timeout: no provider answered within the request's deadline."


class InternalError(ProxyError):
    """A fault of our own; the log has it under the request id."""

    code = "internal_error"
