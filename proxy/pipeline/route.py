"""Stage: where to? A client's model name -> deployments in the order they are to be tried."""

from msgspec import Struct

from proxy.domain.catalog import Deployment, Snapshot
from proxy.domain.errors import ModelNotFound, NoHealthyProvider
from proxy.domain.identity import Caller


class Route(Struct, frozen=True):
    """Where a request may go: best first, and why in that order."""

    alias: str
    candidates: tuple[Deployment, ...]
    reason: str


def route(model: str, snapshot: Snapshot, caller: Caller) -> Route:
    """
    Return the candidates for a model name.

    A name that the caller's key may not ask for is looked up all the same and then taken
    for an unknown one: neither the answer nor its time tells that it exists.

    Raises:
        ModelNotFound: the name stands for nothing here, or for nothing to this caller.
        NoHealthyProvider: it is known, but no provider that could serve it is usable.
    """
    group = snapshot.find_group(model)
    if group is None or not caller.may_ask_for(model):
        if not any(provider.enabled for provider in snapshot.providers.values()):
            raise NoHealthyProvider()
        raise ModelNotFound(model)
    if not group.deployments:
        raise NoHealthyProvider()
    reason = "only" if len(group.deployments) == 1 else group.strategy
    return Route(group.name, group.deployments, reason)
