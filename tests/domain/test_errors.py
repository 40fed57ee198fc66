"""Tests of `proxy/domain/errors.py`."""

import inspect

import pytest

from proxy.domain import errors
from proxy.domain.errors import (
    InvalidApiKey,
    LimitExceeded,
    ModelNotFound,
    NoHealthyProvider,
    ProxyError,
    RequestError,
    UpstreamAuthError,
    UpstreamError,
    UpstreamModelNotFound,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)

TREE = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, ProxyError)
]
TYPES = {
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "rate_limit_error",
    "insufficient_quota",
    "upstream_error",
    "overloaded_error",
    "timeout_error",
    "internal_error",
}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_has_a_public_face(kind: type[ProxyError]) -> None:
    """Each class has an error status, one of the public types, and a sentence for people."""
    assert 400 <= kind.status <= 599
    assert kind.type in TYPES
    assert kind.default_message.endswith((".", "header."))


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_the_tree_in_the_docstring_names_every_class(kind: type[ProxyError]) -> None:
    """The tree that people read at the top of the module is the tree of the code."""
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


@pytest.mark.parametrize("kind", [k for k in TREE if issubclass(k, RequestError)])
def test_what_the_client_must_mend_is_never_tried_again(kind: type[ProxyError]) -> None:
    """A wrong request neither moves on to another provider nor weighs on any."""
    assert 400 <= kind.status < 500
    assert not kind.may_retry
    assert not kind.counts_against_health


@pytest.mark.parametrize("kind", [k for k in TREE if issubclass(k, UpstreamError)])
def test_a_providers_failure_is_never_told_as_the_clients_key(kind: type[ProxyError]) -> None:
    """No error of a provider has the status 401 or 403."""
    assert kind.status not in (401, 403)


@pytest.mark.parametrize(
    "kind",
    [
        UpstreamAuthError,
        UpstreamModelNotFound,
        UpstreamRateLimited,
        UpstreamQuotaExhausted,
        UpstreamRejected,
    ],
)
def test_what_is_no_illness_does_not_weigh_on_health(kind: type[ProxyError]) -> None:
    """Keys, names, limits and bad requests open no breaker."""
    assert not kind.counts_against_health


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InvalidApiKey(), "Invalid API key"),
        (NoHealthyProvider(), "All providers are currently unavailable"),
        (LimitExceeded(), "Too Many Requests"),
        (UpstreamRateLimited(), "Too Many Requests"),
        (UpstreamTimeout(), "Gateway Timeout"),
    ],
)
def test_promised_texts_are_in_the_messages(error: ProxyError, text: str) -> None:
    """The texts that old clients look for are in `message`."""
    assert text in error.message
    assert str(error) == error.message


def test_a_cause_may_be_named_more_exactly() -> None:
    """Message, param, code and wait given at one place do not change the class."""
    error = UpstreamTimeout(
        "No head.", param="model", code="upstream_header_timeout", retry_after_s=2.0
    )
    assert (error.message, error.param, error.code, error.retry_after_s) == (
        "No head.",
        "model",
        "upstream_header_timeout",
        2.0,
    )
    assert UpstreamTimeout().code == "upstream_timeout"


def test_a_rejection_has_the_providers_status() -> None:
    """UpstreamRejected carries the status it is made with; its code is None unless given."""
    assert (UpstreamRejected(422).status, UpstreamRejected(422).code) == (422, None)
    assert UpstreamRejected(400, code="context_length_exceeded").code == "context_length_exceeded"


def test_an_unknown_name_is_named_if_it_is_short_and_plain() -> None:
    """The message names the model that does not exist, but carries nothing odd or endless back."""
    assert ModelNotFound("gpt-9").message == "The model 'gpt-9' does not exist."
    for odd in (
        "x" * 1_000_000,
        "a\r\nb",
        "m\x00",
        "\uff47pt-4",
        "\u202e",
        "\x1b[31m",
        "Tell me a tale",
    ):
        assert ModelNotFound(odd).message == "The model that was asked for does not exist."
    assert ModelNotFound("gpt-9").param == "model"
    assert ModelNotFound("gpt-9", "fallbacks").param == "fallbacks"
