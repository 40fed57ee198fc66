"""
Whose files and batches lie in a provider's account: only theirs may be reached through it.

A provider knows one account, in which the files of all who share its key lie together; nothing of
an answer says whose they are. So an account is open to one organization, or to none.
"""

from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.errors import PermissionDenied
from proxy.domain.identity import Caller


def check_file_access(provider: Provider, caller: Caller, snapshot: Snapshot) -> None:
    """
    Let a caller reach the files and batches of a provider's account, or refuse it.

    Args:
        provider: the account.
        caller: who asks.
        snapshot: whose keys there are.

    Raises:
        PermissionDenied: keys of several organizations share the account, or it is another's; the
            message says how to mend that.

    Source: docs/pass-through.md, "Files and batches".
    """
    if caller.role == "admin":
        return
    owner = provider.files_organization
    if owner is None and snapshot.organizations <= {caller.organization_id}:
        return
    if owner == caller.organization_id:
        return
    raise PermissionDenied(
        f"The files and batches of '{provider.name}' lie in one account, and keys of several "
        "organizations are configured here. Set 'files_organization' of this provider to the one "
        "that may use them."
        if owner is None
        else f"The files and batches of '{provider.name}' are those of another organization."
    )


def check_batch_access(caller: Caller) -> None:
    """
    Let a caller begin a batch, or refuse it: a batch may ask for any model of the account.

    Raises:
        PermissionDenied: this key may ask for some models only.
    """
    if caller.models is not None:
        raise PermissionDenied(
            "A batch asks for any models that its file names, and this key may ask for some only."
        )
