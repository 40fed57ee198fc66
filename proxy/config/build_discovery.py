"""`discovery:` with its tokens -> `DiscoverySettings`, and what is wrong with it."""

from collections.abc import Mapping

from msgspec import Struct

from proxy.config.environment import Variable, read_variable
from proxy.config.node import Node
from proxy.config.problem import Problem
from proxy.config.reference import may_hold_key
from proxy.config.schema import ConfigFile
from proxy.domain.discovery import (
    ConsulSettings,
    DiscoverySettings,
    KubernetesSettings,
    RegistrySettings,
)
from proxy.domain.secret import Secret


class BuiltDiscovery(Struct, frozen=True):
    """Where providers are searched for, what is wrong with it, and what is doubtful."""

    settings: DiscoverySettings
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class _Tokens:
    """Reads variables, and gathers what is wrong with them."""

    def __init__(self, environment: Mapping[str, Variable], tree: Node) -> None:
        self._environment = environment
        self._tree = tree
        self.problems: list[Problem] = []

    def read(self, name: str | None, *path: str) -> Secret | None:
        if name is None:
            return None
        place = self._tree.place_of(*path)
        if not may_hold_key(name):
            what = f"{path[-1]}: this variable is not one that may hold a token"
            mend = "use a name that begins with PROXY_API_ or ends in _KEY or _TOKEN"
            self.problems.append(Problem(place, what, mend))
            return None
        variable = read_variable(self._environment, name)
        if variable is None:
            what, mend = f"{path[-1]}: {name} is not set", f"set {name}, or remove {path[-1]}"
            self.problems.append(Problem(place, what, mend))
            return None
        text = variable.text.reveal().strip()
        if not text.isascii() or not text.isprintable() or " " in text:
            what, mend = "this token cannot be sent in a header", "copy it again"
            self.problems.append(Problem(variable.place, what, mend))
            return None
        return Secret(text)


def build_discovery(
    top: ConfigFile, tree: Node, environment: Mapping[str, Variable]
) -> BuiltDiscovery:
    """Return where providers are searched for."""
    entry, tokens = top.discovery, _Tokens(environment, tree)
    registry = kubernetes = consul = None
    token = tokens.read(entry.registry_token_env, "discovery", "registry_token_env")
    if top.provider_registry_url is not None:
        registry = RegistrySettings(top.provider_registry_url, token)
    if entry.kubernetes is not None:
        kubernetes = KubernetesSettings(
            label_selector=entry.kubernetes.label_selector,
            namespace=entry.kubernetes.namespace,
            port=entry.kubernetes.port,
            api_url=entry.kubernetes.api_url,
            token_file=entry.kubernetes.token_file,
            ca_file=entry.kubernetes.ca_file,
        )
    if entry.consul is not None:
        consul = ConsulSettings(
            url=entry.consul.url,
            services=tuple(entry.consul.services),
            tag=entry.consul.tag,
            token=tokens.read(entry.consul.token_env, "discovery", "consul", "token_env"),
        )
    settings = DiscoverySettings(
        interval_s=top.provider_discovery_interval,
        registry=registry,
        kubernetes=kubernetes,
        consul=consul,
        local_servers=entry.local_servers,
        private_networks=tuple(entry.private_networks),
        api_key=tokens.read(entry.api_key_env, "discovery", "api_key_env"),
        priority=entry.priority,
        max_providers=entry.max_providers,
    )
    return BuiltDiscovery(settings, tuple(tokens.problems), _find_doubts(top, settings, tree))


def _find_doubts(top: ConfigFile, settings: DiscoverySettings, tree: Node) -> tuple[Problem, ...]:
    if not settings.is_on or top.health_worker.enabled or top.redis_url is not None:
        return ()
    what = "providers are searched for by the health worker, which is switched off"
    place = tree.place_of("health_worker", "enabled")
    return (Problem(place, what, "set health_worker.enabled to true"),)
