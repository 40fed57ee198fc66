"""
Which providers a key has to do with: those of the names that it may ask for.

Pure. Called by `server/provider_list.py`, bit by bit, and by the health worker's own API.
"""

from collections.abc import Iterable

from proxy.domain.catalog import Snapshot
from proxy.domain.identity import Caller

VisibleModels = dict[str, dict[str, None]]
"""By provider the models that may be asked for there, in order."""


def sees_all(caller: Caller) -> bool:
    """
    Return whether a key has to do with every provider.

    Args:
        caller: who asks; an administrator is never restricted.

    Returns:
        True without a restriction to certain names.

    Raises:
        Nothing.

    Source: docs/security.md, "Who may do what".
    """
    return caller.models is None or caller.role == "admin"


def add_visible(found: VisibleModels, snapshot: Snapshot, names: Iterable[str]) -> None:
    """
    Add what stands behind names to what a key may see.

    Args:
        found: what has been found so far; is added to.
        snapshot: the catalog in force.
        names: some of those that the key may ask for; one that stands for nothing adds nothing.

    Raises:
        Nothing.

    Source: docs/security.md, "Who may do what".
    """
    for name in names:
        group = snapshot.find_group(name)
        for deployment in () if group is None else group.deployments:
            found.setdefault(deployment.provider.name, {})[deployment.model] = None
