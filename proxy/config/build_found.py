"""One provider that was found -> a `Provider` of the catalog; no variable is read for it."""

from msgspec.structs import replace

from proxy.config.build_provider import BuiltProvider, build_provider
from proxy.config.node import Node
from proxy.config.problem import Problem
from proxy.config.schema import ConfigFile
from proxy.config.validate import CheckedProvider
from proxy.domain.discovery import DiscoverySettings
from proxy.providers.registry import find_kind


def build_found(
    checked: CheckedProvider, top: ConfigFile, tree: Node, settings: DiscoverySettings
) -> BuiltProvider:
    """
    Return the provider that was found; nothing about it is ever a problem, only a warning.

    The keys of its type's variables are never sent to it: who is found names its type, and its
    address, itself. A local server gets none at all, since any user of this machine may have
    opened its port.
    """
    built = build_provider(checked, top, tree, {})
    provider = replace(built.provider, found_by=checked.found_by)
    key = None if checked.found_by == "local" else settings.api_key
    kind = find_kind(provider.type)
    if key is not None:
        node = Node(key.reveal(), tree.place_of("discovery", "api_key_env"))
        provider = replace(provider, api_key=key, enabled=True, disabled_reason=None)
        return replace(built, provider=provider, key_node=node, problems=(), warnings=())
    if kind is None or not kind.needs_key:
        return replace(built, provider=provider, problems=(), warnings=built.problems)
    provider = replace(provider, disabled_reason="no API key: set discovery.api_key_env")
    what = f"the provider '{provider.name}' was found, and its type needs an API key"
    warning = Problem(tree.place_of(*checked.steps, "name"), what, "set discovery.api_key_env")
    return replace(built, provider=provider, problems=(), warnings=(warning,))
