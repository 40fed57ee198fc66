"""What there is to probe: the providers of a snapshot, and endpoints that are only watched."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec import Struct

from proxy.domain.catalog import WILDCARD, Provider, Snapshot
from proxy.domain.health import WatchedEndpoint
from proxy.domain.settings import Clocks
from proxy.providers.registry import find_kind, find_type
from proxy.upstream.guard import is_loopback

WATCHED_TYPE = "openai_compatible"
"""What is only watched is asked in the way that most servers understand."""


class Target(Struct, frozen=True):
    """One endpoint to probe, by the name that its verdict goes by."""

    name: str
    provider: Provider
    """What is asked, and how. What is only watched has none of ours, and gets one without a key."""
    expected_models: tuple[str, ...] = ()
    """The models that it ought to list."""
    is_local: bool = False
    """It is a machine of one's own: of a local type, or this very machine."""
    is_on_this_machine: bool = False
    """No network lies between: its silence says nothing of whether this machine is cut off."""
    is_watched_only: bool = False
    """No provider of the configuration: nothing is ever routed to it."""

    def is_asked_like(self, other: "Target") -> bool:
        """Return whether both stand for the same endpoint, asked in the same way."""
        return _identify(self.provider) == _identify(other.provider)


def build_targets(
    snapshot: Snapshot, endpoints: Iterable[WatchedEndpoint] = ()
) -> dict[str, Target]:
    """
    Return all that can be probed, by name.

    A provider that is out of service, or has no key, is not asked; nor one whose type or `probe`
    says that there is nothing to ask. An endpoint that belongs to providers only adds to the
    models that are expected of them.
    """
    watched = tuple(endpoints)
    more: dict[str, list[str]] = {}
    for endpoint in watched:
        for name in endpoint.providers:
            more.setdefault(name, []).extend(endpoint.models)
    targets = {
        name: _build_target(name, provider, more.get(name, ()))
        for name, provider in snapshot.providers.items()
        if provider.enabled and _can_be_asked(provider)
    }
    for endpoint in watched:
        if not endpoint.providers and endpoint.name not in snapshot.providers:
            provider = Provider(endpoint.name, WATCHED_TYPE, _complete_url(endpoint.base_url))
            target = _build_target(endpoint.name, provider, endpoint.models, is_watched_only=True)
            targets[endpoint.name] = target
    return targets


def _build_target(
    name: str, provider: Provider, more: Iterable[str], *, is_watched_only: bool = False
) -> Target:
    kind = find_kind(provider.type)
    is_here = is_loopback(provider.base_url)
    # Each once, in order: both may name the same.
    expected = dict.fromkeys((*provider.models, *more))
    expected.pop(WILDCARD, None)
    return Target(
        name=name,
        provider=provider,
        expected_models=tuple(expected),
        is_local=is_here or (kind is not None and kind.is_local),
        is_on_this_machine=is_here,
        is_watched_only=is_watched_only,
    )


def _can_be_asked(provider: Provider) -> bool:
    return find_type(provider.type).build_probe(provider, Clocks()) is not None


def _complete_url(base_url: str) -> str:
    url = base_url.rstrip("/")
    return url if urlsplit(url).path else f"{url}/v1"


def _identify(provider: Provider) -> tuple[object, ...]:
    """Return what an answer depends on; of weights, prices and clocks it does not."""
    return (
        provider.type,
        provider.base_url,
        provider.api_key,
        provider.headers,
        provider.probe,
        provider.transport,
        provider.ca_file,
        provider.proxy,
        provider.private_networks,
    )
