"""
The transports of one process, which outlive snapshots.

A transport is opened for the first request to its provider, and kept as long as nothing changes
that its connections depend on. `wiring.py` has one set; every snapshot gets a mapping from it.
"""

from collections.abc import Callable, Mapping
from weakref import WeakSet

from proxy.domain.catalog import Provider, Snapshot
from proxy.upstream.base import Transport


class TransportSet:
    """Gives each snapshot its transports, and takes those out of use that it has none for."""

    def __init__(self, open_one: Callable[[Provider], Transport]) -> None:
        """Open transports with `open_one`, each when it is first asked for."""
        self._open_one = open_one
        self._kept: dict[str, tuple[tuple[object, ...], Transport]] = {}
        self._latest: _SnapshotTransports | None = None
        self._retired: WeakSet[Transport] = WeakSet()

    def for_snapshot(self, snapshot: Snapshot) -> Mapping[str, Transport]:
        """
        Return provider name -> transport for a snapshot that is published from now on.

        Whoever still goes by an earlier mapping goes on undisturbed. A transport that the new
        snapshot has no use for retires, and is gone when nobody holds it any more.
        """
        providers = snapshot.providers
        if self._latest is not None:
            self._latest.is_superseded = True
        self._latest = latest = _SnapshotTransports(self, providers)
        for name, (identity, transport) in list(self._kept.items()):
            provider = providers.get(name)
            if provider is not None and provider.enabled and _identify(provider) == identity:
                latest[name] = transport
            else:
                del self._kept[name]
                self._retire(transport)
        return latest

    async def close(self) -> None:
        """Close every connection, also of those that have retired."""
        for transport in (*(kept for _, kept in self._kept.values()), *self._retired):
            await transport.close()
        self._kept.clear()

    def take(self, provider: Provider, *, is_superseded: bool) -> Transport:
        """Return the transport to a provider of a snapshot, opened if there is none."""
        identity = _identify(provider)
        kept = self._kept.get(provider.name)
        if kept is not None and kept[0] == identity:
            return kept[1]
        transport = self._open_one(provider)
        if is_superseded:
            # Only requests that began before the change ever use it.
            self._retire(transport)
        else:
            self._kept[provider.name] = (identity, transport)
        return transport

    def _retire(self, transport: Transport) -> None:
        transport.retire()
        self._retired.add(transport)


class _SnapshotTransports(dict[str, Transport]):
    """The transports of one snapshot: a plain dict for all that has been asked for once."""

    def __init__(self, owner: TransportSet, providers: Mapping[str, Provider]) -> None:
        super().__init__()
        self._owner = owner
        self._providers = providers
        self.is_superseded = False

    def __missing__(self, name: str) -> Transport:
        provider = self._providers[name]
        transport = self[name] = self._owner.take(provider, is_superseded=self.is_superseded)
        return transport


def _identify(provider: Provider) -> tuple[object, ...]:
    """Return what a connection depends on; a key is not in it, it travels with each request."""
    return (
        provider.type,
        provider.base_url,
        provider.pool,
        provider.private_networks,
        provider.transport,
        provider.ca_file,
        provider.proxy,
    )
