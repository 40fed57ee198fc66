"""
Checked entries -> `InstallSettings` and `Snapshot`, the values the rest of the house works by.

Providers, groups and callers have a module each; this one puts them together.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from proxy.config.build_callers import (
    BuiltCallers,
    build_callers,
    find_unknown_models,
    find_unknown_owners,
)
from proxy.config.build_discovery import BuiltDiscovery
from proxy.config.build_found import build_found
from proxy.config.build_groups import BuiltGroups, build_groups
from proxy.config.build_provider import BuiltProvider, build_provider
from proxy.config.discovered_file import Discovered
from proxy.config.environment import Variable
from proxy.config.node import Node
from proxy.config.problem import Problem
from proxy.config.schema import ConfigFile
from proxy.domain.breaker import BreakerRules
from proxy.domain.catalog import Provider, Snapshot
from proxy.domain.discovery import DiscoverySettings
from proxy.domain.health import HealthSettings
from proxy.domain.identity import KeyHasher
from proxy.domain.settings import ClientClocks, InstallSettings, Settings
from proxy.policy.limits import build_rate_limit

LOCAL_CHECK_S = 10.0
TRANSITION_CHECK_S = 2.0


class Built(Struct, frozen=True):
    """What a configuration comes to, what is wrong with it, and what is doubtful."""

    install: InstallSettings
    snapshot: Snapshot
    providers: tuple[Provider, ...]
    """All entries, also those that are switched off."""
    secret_nodes: Mapping[tuple[str, str], Node]
    """The keys of providers that were found in variables, by the name of the provider."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def build(
    entries: Discovered,
    environment: Mapping[str, Variable],
    hasher: KeyHasher,
    *,
    state_dir: Path,
    generation: int,
    now_at: float,
    also_listen: Sequence[tuple[str, int]] = (),
) -> Built:
    """Build everything; with problems in `entries` the result is good only for its problems."""
    checked, tree, discovery = entries.checked, entries.tree, entries.searched
    top = checked.top
    listen = _read_listen(top, tree)
    providers = [
        build_provider(entry, top, tree, environment)
        if entry.found_by is None
        else build_found(entry, top, tree, discovery.settings)
        for entry in checked.providers
    ]
    groups = build_groups(providers, checked.routes, tree, may_find_more=discovery.settings.is_on)
    callers = build_callers(top, tree, hasher, (*listen, *also_listen))
    parts: list[BuiltProvider | BuiltCallers | BuiltGroups | BuiltDiscovery] = [
        *providers,
        callers,
        groups,
        discovery,
    ]
    warnings = [warning for part in parts for warning in part.warnings]
    if top.listen is not None and any(_is_in_file(tree, key) for key in ("host", "port")):
        what = "host and port are not used, because listen is set"
        place = tree.place_of("host" if _is_in_file(tree, "host") else "port")
        warnings.append(Problem(place, what, "remove them, or remove listen"))
    if not providers:
        mend = "add one; docs/configuration.md shows how"
        warnings.append(
            Problem(
                tree.place_of("providers"), "there are no providers: nothing can be served", mend
            )
        )
    snapshot = Snapshot(
        generation=generation,
        created_at=now_at,
        settings=_build_settings(top, discovery.settings),
        providers={built.provider.name: built.provider for built in providers if built.is_on},
        groups=groups.groups,
        callers=callers.callers,
    )
    warnings.extend(find_unknown_models(top, tree, snapshot))
    warnings.extend(find_unknown_owners(checked.providers, tree, snapshot))
    if top.workers > 1 and top.redis_url is None:
        what = (
            f"{top.workers} workers without redis_url: each has circuit breakers of its own, and "
            "its share of every rate limit"
        )
        warnings.append(Problem(tree.place_of("workers"), what, "set redis_url to share them"))
    return Built(
        install=_build_install(top, tree, listen, state_dir),
        snapshot=snapshot,
        providers=tuple(built.provider for built in providers),
        secret_nodes={
            (built.provider.name, key): node
            for built in providers
            for key, node in (("api_key", built.key_node), ("proxy", built.proxy_node))
            if node is not None
        },
        problems=(
            *(problem for part in parts for problem in part.problems),
            *_find_repeated_addresses(listen, tree),
        ),
        warnings=tuple(warnings),
    )


def _build_install(
    top: ConfigFile, tree: Node, listen: tuple[tuple[str, int], ...], state_dir: Path
) -> InstallSettings:
    debug_level = "DEBUG" if top.debug and tree.find("log_level") is None else top.log_level
    return InstallSettings(
        listen=listen,
        workers=top.workers,
        state_dir=str(state_dir),
        log_level=debug_level,
        log_file=top.log_file,
        max_connections=top.max_connections,
        database_url=top.database_url,
        redis_url=top.redis_url,
        debug=top.debug,
        drain_timeout_s=top.drain_timeout,
        drain_delay_s=top.drain_delay,
        health_worker=top.health_worker.enabled,
        health_listen=(
            None if top.health_worker.listen is None else _split_address(top.health_worker.listen)
        ),
        response_ttl_s=top.response_store.ttl_s,
        max_response_bytes=top.response_store.max_bytes,
    )


def _build_settings(top: ConfigFile, discovery: DiscoverySettings) -> Settings:
    return Settings(
        request_timeout_s=top.request_timeout,
        commit_delay_s=top.clocks.commit_delay_s,
        keep_alive_s=top.clocks.keep_alive_s,
        max_body_bytes=top.max_body_bytes,
        max_event_bytes=top.limits.max_event_bytes,
        max_answer_bytes=top.limits.max_answer_bytes,
        max_stream_bytes=top.limits.max_stream_bytes,
        max_upload_bytes=top.limits.max_upload_bytes,
        max_passed_answer_bytes=top.limits.max_passed_answer_bytes,
        max_form_start_bytes=top.limits.max_form_start_bytes,
        client_clocks=ClientClocks(
            head_s=top.clocks.request_head_s,
            body_s=top.clocks.request_body_s,
            write_stall_s=top.clocks.write_stall_s,
        ),
        min_body_bytes_per_s=top.limits.min_body_bytes_per_s,
        max_in_flight=top.limits.max_in_flight,
        max_client_connections=top.limits.max_client_connections,
        max_connections_per_address=top.limits.max_connections_per_address,
        trusted_proxies=tuple(top.limits.trusted_proxies),
        rate_limit=(
            None
            if top.rate_limit_rpm is None
            else build_rate_limit(top.rate_limit_rpm, top.rate_limit_window)
        ),
        api_key_header=top.api_key_header,
        cors_origins=tuple(top.cors_origins),
        metrics_auth=top.metrics_auth,
        app_name=top.app_name,
        app_version=top.app_version,
        breaker=BreakerRules(
            consecutive=top.circuit_breaker_threshold,
            open_ms=round(top.circuit_breaker_timeout * 1000),
        ),
        health=HealthSettings(
            interval_s=top.health_check_interval,
            local_interval_s=min(LOCAL_CHECK_S, top.health_check_interval),
            transition_interval_s=min(TRANSITION_CHECK_S, top.health_check_interval),
            cache_ttl_s=top.health_check_cache_ttl,
            timeout_s=top.health_check_timeout,
        ),
        discovery=discovery,
        max_key_share=top.limits.max_key_share,
        refuses_unsupported=top.unsupported_params == "error",
        max_loop_lag_s=top.limits.max_loop_lag_s,
    )


def _read_listen(top: ConfigFile, tree: Node) -> tuple[tuple[str, int], ...]:
    if top.listen is None:
        return ((top.host, top.port),)
    addresses = [*map(_split_address, top.listen)]
    # A variable goes before the file: PROXY_API_PORT moves the first address of `listen`,
    # unless that came from a variable itself.
    if not tree.place_of("listen").is_variable:
        host, number = addresses[0]
        host = top.host if tree.place_of("host").is_variable else host
        number = top.port if tree.place_of("port").is_variable else number
        addresses[0] = (host, number)
    return tuple(addresses)


def _split_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _find_repeated_addresses(listen: Sequence[tuple[str, int]], tree: Node) -> Iterator[Problem]:
    for index, address in enumerate(listen):
        if address in listen[:index] and address[1] != 0:
            what = "listen: this address was given before"
            yield Problem(tree.place_of("listen", index), what, "keep one of the two")


def _is_in_file(tree: Node, key: str) -> bool:
    node = tree.find(key)
    return node is not None and not node.place.is_variable
