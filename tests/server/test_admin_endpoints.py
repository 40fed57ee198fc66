"""Below `/admin` everything is denied, and only an admin key is told that nothing is there."""

import aiohttp
import msgspec
import pytest

from proxy.domain.catalog import Snapshot
from proxy.domain.identity import Caller
from proxy.server.admin_endpoints import METHODS
from tests.fakes.proxy_server import ADMIN_KEY, HASHER, KEY, build_snapshot, serving

pytestmark = pytest.mark.usefixtures("no_leaks")


def build_administrated() -> Snapshot:
    """Return a snapshot with a user key and an admin key."""
    snapshot = build_snapshot()
    admin = {HASHER.digest(ADMIN_KEY): Caller(HASHER.key_id(ADMIN_KEY), role="admin")}
    return msgspec.structs.replace(snapshot, callers={**snapshot.callers, **admin})


async def ask(snapshot: Snapshot, method: str, path: str, key: str | None) -> tuple[int, str]:
    """Return (status, the error's message)."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with (
        serving(snapshot, {}) as server,
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{server.port}{path}", headers=headers) as answer,
    ):
        assert "access-control-allow-origin" not in answer.headers
        if method == "HEAD":
            return answer.status, ""
        return answer.status, (await answer.json())["error"]["message"]


@pytest.mark.parametrize("path", ["/admin", "/admin/keys", "/admin/a/b?c=d"])
@pytest.mark.parametrize("method", METHODS)
async def test_each_method_is_denied(method: str, path: str) -> None:
    """Without a key 401, with a user's 403, with an admin's 404: the same for every method."""
    snapshot = build_administrated()
    found = [(await ask(snapshot, method, path, key))[0] for key in (None, KEY, ADMIN_KEY)]
    assert found == [401, 403, 404]


async def test_the_record_names_the_key_that_was_denied() -> None:
    """Who knocked with a key of ours is known by its `key_id`, and by its organization."""
    async with (
        serving(build_administrated(), {}) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session,
        session.get("/admin/keys", headers={"Authorization": f"Bearer {KEY}"}),
    ):
        (record,) = await server.observer.wait_for_records()
    assert (record.status, record.key_id) == (403, HASHER.key_id(KEY))
    assert record.organization_id == "default"


async def test_without_admin_keys_it_says_how_to_set_one() -> None:
    """No key opens anything then, and the 403 names the setting."""
    status, message = await ask(build_snapshot(), "GET", "/admin/keys", KEY)
    assert status == 403
    assert "'admin_keys' in config.yaml" in message
