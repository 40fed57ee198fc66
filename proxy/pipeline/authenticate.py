"""Stage: who asks? Headers and an in-memory lookup, no I/O."""

from multidict import MultiMapping

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import InvalidApiKey
from proxy.domain.identity import Caller, KeyHasher
from proxy.policy.credentials import find_caller


def authenticate(headers: MultiMapping[str], snapshot: Snapshot, hasher: KeyHasher) -> Caller:
    """
    Return the caller behind the key in the request's headers.

    Raises:
        InvalidApiKey: no key, or none that we know; the answer is the same for both.
        InvalidRequest: two different keys.
    """
    caller = find_caller(headers, snapshot, hasher)
    if caller is None:
        raise InvalidApiKey()
    return caller
