"""Stage: where to? A client's model name -> deployments in the order they are to be tried."""

from msgspec import Struct

from proxy.domain.catalog import Deployment, Snapshot
from proxy.domain.errors import ModelNotFound, NoHealthyProvider


class Route(Struct, frozen=True):
    """Where a request may go: best first, and why in that order."""

    alias: str
    candidates: tuple[Deployment, ...]
    reason: str


def route(model: str, snapshot: Snapshot) -> Route:
    """
    Return the candidates for a model name.

    Raises:
        ModelNotFound: the name stands for nothing here.
        NoHealthyProvider: it is known, but no provider that could serve it is usable.
    """
    group = snapshot.find_group(model)
    if group is None:
        if not any(provider.enabled for provider in snapshot.providers.values()):
            raise NoHealthyProvider()
        raise ModelNotFound(model)
    if not group.deployments:
        raise NoHealthyProvider()
    reason = "only" if len(group.deployments) == 1 else group.strategy
    return Route(group.name, group.deployments, reason)
