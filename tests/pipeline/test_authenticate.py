"""Who may ask: keys in the headers that clients use, and nothing told to who has none."""

import pytest
from msgspec.structs import replace
from multidict import CIMultiDict

from proxy.domain.errors import InvalidApiKey
from proxy.domain.identity import Caller
from proxy.pipeline.authenticate import LONGEST_KEY, authenticate
from tests.fakes.proxy_server import HASHER, KEY, build_snapshot


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {KEY}"),
        ("authorization", f"bearer   {KEY}"),
        ("X-API-Key", KEY),
        ("api-key", KEY),
        ("X-My-Key", KEY),
    ],
)
def test_a_key_is_found_in_every_header_that_clients_use(name: str, value: str) -> None:
    """Bearer, X-API-Key, Azure's api-key and the configured header all carry a key."""
    snapshot = build_snapshot(api_key_header="X-My-Key")
    caller = authenticate(CIMultiDict({name: value}), snapshot, HASHER)
    assert caller.key_id == HASHER.key_id(KEY)
    assert caller.role == "user"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Bearer {KEY} {KEY}"},
        {"X-API-Key": ""},
        {"X-API-Key": "x" * (LONGEST_KEY + 1)},
        {"X-API-Key": "ключ\udcff"},
        {"X-Other": KEY},
        {"Authorization": "Bearer wrong", "X-API-Key": KEY},
    ],
)
def test_all_else_is_refused_with_one_answer(headers: dict[str, str]) -> None:
    """No key, a wrong key and a key in the wrong place are refused in the same words."""
    with pytest.raises(InvalidApiKey) as caught:
        authenticate(CIMultiDict(headers), build_snapshot(), HASHER)
    assert caught.value.message == InvalidApiKey().message
    assert caught.value.message.startswith("Invalid API key")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz"])
def test_an_authorization_of_another_kind_does_not_hide_a_key(authorization: str) -> None:
    """What a front proxy put into Authorization is passed over if it is no bearer key."""
    headers = CIMultiDict({"Authorization": authorization, "X-API-Key": KEY})
    assert authenticate(headers, build_snapshot(), HASHER).key_id == HASHER.key_id(KEY)


def test_no_key_is_hashed_that_is_longer_than_a_key_can_be() -> None:
    """Even a key that is known is refused above LONGEST_KEY: the work per request has a bound."""
    long_key = "x" * (LONGEST_KEY + 1)
    snapshot = replace(build_snapshot(), callers={HASHER.digest(long_key): Caller("key_long")})
    with pytest.raises(InvalidApiKey):
        authenticate(CIMultiDict({"X-API-Key": long_key}), snapshot, HASHER)
