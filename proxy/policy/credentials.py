"""
Which key a request presents, and whose it is: a look into its headers and one in memory, no I/O.

What that caller may do is said by `access.py`. Called by `pipeline/authenticate.py`, by `server/`
and by the health worker's own API.
"""

from multidict import MultiMapping, istr

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import InvalidRequest
from proxy.domain.identity import Caller, KeyHasher

LONGEST_KEY = 512
AUTHORIZATION = istr("Authorization")
"""Headers are looked up by names whose lower case is known already."""
KEY_HEADERS = (istr("X-API-Key"), istr("api-key"))
"""Where a key may stand besides `Authorization` and the configured header; the last is Azure's."""


def find_caller(headers: MultiMapping[str], snapshot: Snapshot, hasher: KeyHasher) -> Caller | None:
    """
    Return the caller behind the key in the request's headers, None without a key that we know.

    Raises:
        InvalidRequest: two different keys.
    """
    key = find_key(headers, snapshot.settings.api_key_header)
    if key is None or len(key) > LONGEST_KEY:
        return None
    return snapshot.callers.get(hasher.digest(key))


def find_key(headers: MultiMapping[str], key_header: str) -> str | None:
    """
    Return the key that a request presents, or None.

    It stands in `Authorization: Bearer <key>`, the configured header, `X-API-Key` or
    `api-key`; nowhere else is looked.

    Raises:
        InvalidRequest: two of them hold different keys: who asks must not depend on which
            of them is read first, here or at a proxy in front.
    """
    found: str | None = None
    given = headers.getall(AUTHORIZATION, ())
    for value in given:
        key = _read_bearer(value)
        if len(given) > 1 and key != _read_bearer(given[0]):
            raise _conflict()
        found = key or found
    names = KEY_HEADERS if key_header in KEY_HEADERS else (key_header, *KEY_HEADERS)
    for name in names:
        for value in headers.getall(name, ()):
            if not value or value == found:
                continue
            if found is not None:
                raise _conflict()
            found = value
    return found


def _read_bearer(value: str) -> str | None:
    # What a proxy in front has put here, such as Basic, is no key of ours and hides none.
    scheme, _, key = value.partition(" ")
    return (key.strip() or None) if scheme.lower() == "bearer" else None


def _conflict() -> InvalidRequest:
    return InvalidRequest(
        "This request holds two different keys. Send one, as 'Authorization: Bearer <key>' or "
        "in one other header.",
        code="conflicting_credentials",
    )
