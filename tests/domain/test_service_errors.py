"""What administration can fail with has the same public face as every other error."""

import inspect

import pytest

from proxy.domain import service_errors
from proxy.domain.errors import ProxyError

OWN = [
    found
    for _, found in inspect.getmembers(service_errors, inspect.isclass)
    if issubclass(found, ProxyError) and found.__module__ == service_errors.__name__
]


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_each_has_a_public_face_and_its_place_in_the_tree(kind: type[ProxyError]) -> None:
    """Each has an error status, a code, a sentence, and its line in the module's drawing."""
    assert 400 <= kind.status <= 599
    assert kind.code is not None
    assert kind.default_message.endswith(".")
    assert service_errors.__doc__ is not None
    assert f"{kind.__name__} " in service_errors.__doc__
    assert kind.code in service_errors.__doc__


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_none_weighs_on_a_provider(kind: type[ProxyError]) -> None:
    """No provider was asked: nothing is tried again elsewhere, nothing counts against health."""
    assert not kind.may_retry
    assert not kind.counts_against_health
