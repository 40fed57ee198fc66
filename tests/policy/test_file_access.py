"""Files and batches: open to one organization, or to none."""

import pytest
from msgspec.structs import replace

from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.errors import PermissionDenied
from proxy.domain.identity import Caller
from proxy.policy.file_access import check_batch_access, check_file_access
from tests.fakes.proxy_server import build_snapshot

PROVIDER = Provider("up", "openai", "https://it.example")
A, B = Caller("key_a", organization_id="a"), Caller("key_b", organization_id="b")
ADMIN = Caller("key_admin", role="admin")


def _snapshot(*callers: Caller) -> Snapshot:
    return replace(build_snapshot(), callers={c.key_id.encode(): c for c in callers})


@pytest.mark.parametrize(
    ("caller", "others", "owner"),
    [
        (A, (), None),
        (A, (Caller("key_a2", organization_id="a"),), None),
        (A, (ADMIN,), None),
        (A, (B,), "a"),
        (ADMIN, (A, B), None),
        (ADMIN, (A, B), "a"),
    ],
    ids=["alone", "two keys", "beside an admin", "the owner", "an admin", "an admin of others"],
)
def test_an_account_is_open_to_its_only_organization(
    caller: Caller, others: tuple[Caller, ...], owner: str | None
) -> None:
    """Who shares it with nobody, whom the setting names, and who may do everything get in."""
    provider = replace(PROVIDER, files_organization=owner)
    check_file_access(provider, caller, _snapshot(caller, *others))


@pytest.mark.parametrize(
    ("caller", "others", "owner", "words"),
    [
        (A, (B,), None, "files_organization"),
        (A, (B,), "b", "another organization"),
        (A, (), "b", "another organization"),
    ],
    ids=["shared", "another's", "another's with no key"],
)
def test_an_account_is_closed_to_all_others(
    caller: Caller, others: tuple[Caller, ...], owner: str | None, words: str
) -> None:
    """Where several could meet nobody gets in, and the refusal says how that is mended."""
    provider = replace(PROVIDER, files_organization=owner)
    with pytest.raises(PermissionDenied) as caught:
        check_file_access(provider, caller, _snapshot(caller, *others))
    assert words in caught.value.message


def test_a_batch_is_for_keys_that_may_ask_for_everything() -> None:
    """What a batch asks for stands in a file that nobody here reads."""
    check_batch_access(A)
    with pytest.raises(PermissionDenied):
        check_batch_access(replace(A, models=frozenset(("m",))))
