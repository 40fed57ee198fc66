"""Whose key it is; what `pipeline/authenticate.py` makes of that is tested there."""

from msgspec.structs import replace
from multidict import CIMultiDict

from proxy.domain.identity import Caller
from proxy.policy.credentials import LONGEST_KEY, find_caller
from tests.fakes.proxy_server import HASHER, KEY, build_snapshot


def test_no_key_is_hashed_that_is_longer_than_a_key_can_be() -> None:
    """Even a key that is known is refused above LONGEST_KEY: the work per request has a bound."""
    long_key = "x" * (LONGEST_KEY + 1)
    snapshot = replace(build_snapshot(), callers={HASHER.digest(long_key): Caller("key_long")})
    assert find_caller(CIMultiDict({"X-API-Key": long_key}), snapshot, HASHER) is None


def test_looking_for_a_caller_does_not_refuse_strangers() -> None:
    """A route that is open to all can ask who it is, and learn that it is nobody we know."""
    snapshot = build_snapshot()
    assert find_caller(CIMultiDict(), snapshot, HASHER) is None
    assert find_caller(CIMultiDict({"X-API-Key": "unknown"}), snapshot, HASHER) is None
    found = find_caller(CIMultiDict({"X-API-Key": KEY}), snapshot, HASHER)
    assert found is not None
    assert found.key_id == HASHER.key_id(KEY)
