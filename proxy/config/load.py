"""
The whole way from files and environment to a snapshot: find, read, parse, merge, validate, build.

Called by `wiring` when the server starts and by `llm-proxy check`. Either everything is
good, or `ConfigError` holds everything that is wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from proxy.config.build import build
from proxy.config.build_discovery import build_discovery
from proxy.config.ca_files import find_faulty_ca_files
from proxy.config.discovered_file import merge_discovered
from proxy.config.effective import EffectiveValue, list_effective
from proxy.config.environment import build_environment
from proxy.config.merge import merge
from proxy.config.node import Node
from proxy.config.not_in_force import list_not_in_force
from proxy.config.parse import Parsed, parse_json, parse_yaml
from proxy.config.probe_file import ProbeFile, read_probes
from proxy.config.problem import ConfigError, Problem
from proxy.config.redis_files import find_missing_files
from proxy.config.sources import (
    PACKAGED_NAME,
    PROBE_FILE_NAME,
    SourceFile,
    find_config,
    find_state_dir,
    read_config,
    read_dot_env,
    read_probe_file,
)
from proxy.config.validate import validate
from proxy.domain.catalog import Snapshot
from proxy.domain.health import WatchedEndpoint
from proxy.domain.identity import KeyHasher
from proxy.domain.settings import InstallSettings


class LoadedConfig(Struct, frozen=True):
    """
    A configuration that is good to serve with.

    `config_path` is None for the packaged copy. `not_in_force` names settings that are
    accepted but whose feature is not built yet. `effective` is every value with its source,
    fit to be shown. `has_marker` says that `end_of_config: true` stands in the file. `files`
    are the operator's as they were read and judged, byte for byte, by their names without a
    directory. `discovered` is what was read of `discovered.json`, which is not one of these.
    """

    install: InstallSettings
    snapshot: Snapshot
    config_path: Path | None
    warnings: tuple[Problem, ...]
    not_in_force: tuple[str, ...]
    effective: tuple[EffectiveValue, ...]
    has_marker: bool
    files: tuple[SourceFile, ...]
    probes: tuple[WatchedEndpoint, ...]
    discovered: bytes | None = None

    @property
    def own_count(self) -> int:
        """How many providers in service the operator has written, and nobody has found."""
        providers = self.snapshot.providers.values()
        return sum(provider.found_by is None for provider in providers)


def load_config(
    path: Path | None,
    environ: Mapping[str, str],
    hasher: KeyHasher,
    *,
    generation: int = 1,
    now_at: float,
    also_listen: Sequence[tuple[str, int]] = (),
    is_found: bool = False,
    discovered: bytes | None = None,
) -> LoadedConfig:
    """
    Read, check and build the configuration that is in force; each file is read once.

    Args:
        path: what `--config` says; None looks in the usual places.
        environ: the process's environment; `.env` beside the file is read below it.
        hasher: turns client keys into the digests that the snapshot is indexed by.
        generation: the number of the snapshot.
        now_at: the time the snapshot is made, epoch seconds.
        also_listen: where the running server listens, whatever the files say now: keys
            must be good enough for those addresses too.
        is_found: `path` is what `find_config` has returned, None for the packaged copy: a
            running server keeps to that, whatever else appears or disappears.
        discovered: what `discovered.json` held when it could be read last.

    Raises:
        ConfigError: with every problem of every file and variable.
    """
    config_path = path if is_found else find_config(path, environ)
    source = str(config_path) if config_path is not None else PACKAGED_NAME
    data = read_config(config_path)
    parsed = _parse(data, source)
    problems = list(parsed.problems)
    dot_env = read_dot_env(config_path)
    problems += dot_env.problems
    probe_data = read_probe_file(config_path)
    if parsed.tree is None:
        raise ConfigError(problems)
    environment = build_environment(environ, dot_env.variables)
    merged = merge(parsed.tree, environment)
    checked = validate(merged.tree)
    state_dir = find_state_dir(config_path, environ)
    searched = build_discovery(checked.top, merged.tree, environment)
    # Behind the environment: no variable of a provider's can mean one that was found.
    found = merge_discovered(merged.tree, checked, searched, state_dir, discovered)
    built = build(
        found,
        environment,
        hasher,
        state_dir=state_dir,
        generation=generation,
        now_at=now_at,
        also_listen=also_listen,
    )
    probe_file = (
        read_probes(probe_data[1], probe_data[0], built.providers) if probe_data else ProbeFile()
    )
    problems += _check_end(parsed.tree)
    for part in (merged, checked, built, probe_file):
        problems += part.problems
    if problems:
        raise ConfigError(_in_order(problems, source))
    files = (
        *find_missing_files(built.install.redis_url, merged.tree),
        *find_faulty_ca_files(checked.providers, merged.tree),
    )
    parts = (merged, built, probe_file, found)
    warnings = (*files, *(warning for part in parts for warning in part.warnings))
    return LoadedConfig(
        install=built.install,
        snapshot=built.snapshot,
        config_path=config_path,
        warnings=tuple(_in_order(warnings, source)),
        not_in_force=list_not_in_force(merged.tree),
        effective=list_effective(found.tree, built.secret_nodes, hasher.fingerprint),
        has_marker=_has_marker(parsed.tree),
        files=_list_files(source, data, probe_data),
        probes=probe_file.probes,
        discovered=found.data,
    )


def _list_files(
    source: str, data: bytes, probe_data: tuple[str, bytes] | None
) -> tuple[SourceFile, ...]:
    files = [SourceFile(Path(source).name, data)]
    if probe_data is not None:
        files.append(SourceFile(PROBE_FILE_NAME, probe_data[1]))
    return tuple(files)


def _parse(data: bytes, source: str) -> Parsed:
    return parse_json(data, source) if source.endswith(".json") else parse_yaml(data, source)


def _has_marker(tree: Node) -> bool:
    marker = tree.find("end_of_config")
    return marker is not None and marker.value is True


def _check_end(tree: Node) -> list[Problem]:
    """Refuse an end marker that is not at the end: what follows it could be cut off unseen."""
    marker = tree.find("end_of_config")
    if marker is None or list(tree.entries)[-1] == "end_of_config":
        return []
    place = marker.key_place or marker.place
    return [Problem(place, "end_of_config is not the last key", "move it to the end of the file")]


def _in_order(problems: Iterable[Problem], source: str) -> list[Problem]:
    """Return the problems of the file by line, then the others in the order they were found."""
    return sorted(
        problems,
        key=lambda p: (p.place.source != source, p.place.source, p.place.line, p.place.column),
    )
