"""Stage: who asks? Headers and an in-memory lookup, no I/O."""

from collections.abc import Mapping

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import InvalidApiKey
from proxy.domain.identity import Caller, KeyHasher

LONGEST_KEY = 512


def authenticate(headers: Mapping[str, str], snapshot: Snapshot, hasher: KeyHasher) -> Caller:
    """
    Return the caller behind the key in the request's headers.

    `Authorization: Bearer <key>` goes first, then the configured key header, then
    `X-API-Key` and Azure's `api-key`.

    Raises:
        InvalidApiKey: no key, or none that we know; the answer is the same for both.
    """
    key = find_key(headers, snapshot.settings.api_key_header)
    if key is None or not 0 < len(key) <= LONGEST_KEY:
        raise InvalidApiKey()
    caller = snapshot.callers.get(hasher.digest(key))
    if caller is None:
        raise InvalidApiKey()
    return caller


def find_key(headers: Mapping[str, str], key_header: str) -> str | None:
    """Return the key that a request presents, or None."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return headers.get(key_header) or headers.get("X-API-Key") or headers.get("api-key")
