"""
Who may do what: one decision for every route, from the key that came with the request.

Which route needs what is the server's business, and who a key belongs to is found by
`credentials.py`; this joins the two. Called by `server/`.
"""

from typing import Literal

from proxy.domain.catalog import Snapshot
from proxy.domain.errors import InvalidApiKey, PermissionDenied
from proxy.domain.identity import Caller

Access = Literal["open", "key", "admin"]
"""What a route asks for: nothing, any key, or a key of `admin_keys`."""


def check_access(access: Access, caller: Caller | None, snapshot: Snapshot) -> None:
    """
    Let a request pass, or refuse it.

    A request without a key is always told about keys, never about roles: what a stranger
    may not do is no business of his.

    Args:
        access: what the route asks for.
        caller: who asks; None if the request had no key, or none that we know.
        snapshot: tells whether there is an admin key at all.

    Raises:
        InvalidApiKey: a key is needed, and there is no caller.
        PermissionDenied: an admin key is needed, and the caller's is none; the message says
            how to get one where none is configured.

    Source: docs/security.md, "Who may do what".
    """
    if access == "open":
        return
    if caller is None:
        raise InvalidApiKey()
    if access == "key" or caller.role == "admin":
        return
    if snapshot.has_admin_keys:
        raise PermissionDenied("This needs an admin key: one of 'admin_keys' in config.yaml.")
    raise PermissionDenied(
        "This needs an admin key, and none is set: add one to 'admin_keys' in config.yaml "
        "('openssl rand -hex 32' prints one)."
    )
