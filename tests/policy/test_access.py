"""Who may do what: strangers, users and administrators at routes of each kind."""

import pytest
from msgspec.structs import replace

from proxy.domain.errors import InvalidApiKey, PermissionDenied, ProxyError
from proxy.domain.identity import Caller
from proxy.policy.access import Access, check_access
from tests.fakes.proxy_server import build_snapshot

USER = Caller("key_user")
ADMIN = Caller("key_admin", role="admin")
WITHOUT_ADMIN = replace(build_snapshot(), callers={b"u": USER})
WITH_ADMIN = replace(build_snapshot(), callers={b"u": USER, b"a": ADMIN})


@pytest.mark.parametrize(
    ("access", "stranger", "user", "admin"),
    [
        ("open", None, None, None),
        ("key", InvalidApiKey, None, None),
        ("admin", InvalidApiKey, PermissionDenied, None),
    ],
)
def test_each_kind_of_route_lets_in_whom_it_should(
    access: Access,
    stranger: type[ProxyError] | None,
    user: type[ProxyError] | None,
    admin: type[ProxyError] | None,
) -> None:
    """A stranger is told about keys (401), a user about admin keys (403), an admin passes."""
    for caller, refusal in ((None, stranger), (USER, user), (ADMIN, admin)):
        if refusal is None:
            check_access(access, caller, WITH_ADMIN)
        else:
            with pytest.raises(refusal):
                check_access(access, caller, WITH_ADMIN)


def test_without_an_admin_key_the_refusal_says_how_to_set_one() -> None:
    """A user is told that none is set and where to set it; a stranger is told nothing of it."""
    with pytest.raises(PermissionDenied) as told:
        check_access("admin", USER, WITHOUT_ADMIN)
    assert told.value.status == 403
    assert "none is set: add one to 'admin_keys' in config.yaml" in told.value.message
    with pytest.raises(InvalidApiKey) as refused:
        check_access("admin", None, WITHOUT_ADMIN)
    assert refused.value.message == InvalidApiKey().message


def test_with_an_admin_key_the_refusal_does_not_ask_for_another() -> None:
    """Where there is an admin key, a user is told only that one is needed."""
    with pytest.raises(PermissionDenied) as told:
        check_access("admin", USER, WITH_ADMIN)
    assert "none is set" not in told.value.message
