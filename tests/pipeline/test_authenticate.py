"""Who may ask: keys in the headers that clients use, and nothing told to who has none."""

import pytest
from multidict import CIMultiDict

from proxy.domain.errors import InvalidApiKey, InvalidRequest
from proxy.pipeline.authenticate import authenticate
from proxy.policy.credentials import LONGEST_KEY
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
        {"Authorization": "Bearer \x00\x01\udcff"},
        {"Authorization": "Bearer " + "x" * 1_000_000},
        {"Authorization": f"Bearer Bearer {KEY}"},
        {"Cookie": f"api_key={KEY}"},
        {"Proxy-Authorization": f"Bearer {KEY}"},
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


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", f"Bearer {KEY}"), ("X-API-Key", KEY)],
        [("Authorization", f"Bearer {KEY}"), ("authorization", f"bearer  {KEY} ")],
        [("X-API-Key", KEY), ("x-api-key", KEY), ("api-key", KEY), ("X-My-Key", KEY)],
        [("Authorization", f"Bearer {KEY}"), ("X-API-Key", "")],
    ],
)
def test_the_same_key_may_come_more_than_once(headers: list[tuple[str, str]]) -> None:
    """Clients that send their key in several headers are let in."""
    snapshot = build_snapshot(api_key_header="X-My-Key")
    caller = authenticate(CIMultiDict(headers), snapshot, HASHER)
    assert caller.key_id == HASHER.key_id(KEY)


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", f"Bearer {KEY}"), ("X-API-Key", "other")],
        [("Authorization", f"Bearer {KEY}"), ("api-key", "other")],
        [("Authorization", f"Bearer {KEY}"), ("X-My-Key", "other")],
        [("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer other")],
        [("Authorization", "Bearer other"), ("Authorization", f"Bearer {KEY}")],
        [("Authorization", f"Bearer {KEY}"), ("Authorization", "Basic dXNlcjpwYXNz")],
        [("Authorization", "Basic dXNlcjpwYXNz"), ("Authorization", f"Bearer {KEY}")],
        [("X-API-Key", KEY), ("X-API-Key", "other")],
        [("X-API-Key", KEY), ("api-key", KEY + " ")],
    ],
)
def test_two_different_keys_are_refused(headers: list[tuple[str, str]]) -> None:
    """Which one counts is never a question of order: 400, without a word of either key."""
    snapshot = build_snapshot(api_key_header="X-My-Key")
    with pytest.raises(InvalidRequest) as caught:
        authenticate(CIMultiDict(headers), snapshot, HASHER)
    assert (caught.value.status, caught.value.code) == (400, "conflicting_credentials")
    assert KEY not in caught.value.message
