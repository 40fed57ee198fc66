"""
From the command line to the first configuration that is served.

That is the one on disk; where it is broken, the last one that was accepted, and the reason is
kept for everybody who asks.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from proxy.config.changes import describe_changes
from proxy.config.guard import GuardFacts, decide_guard
from proxy.config.history import DIRECTORY_NAME, HistoryEntry, HistoryStore
from proxy.config.load import LoadedConfig, load_config
from proxy.config.master_secret import PEPPER, MasterSecret, find_master_secret
from proxy.config.problem import ConfigError, Problem
from proxy.config.problem import Place as ProblemPlace
from proxy.config.seal import SealBroken, Sealer
from proxy.config.sources import (
    PACKAGED_NAME,
    explain_state_dir,
    find_config,
    find_runtime_dir,
    find_state_dir,
    list_watched,
)
from proxy.config.watcher import FileWatch, Look
from proxy.domain.identity import KeyHasher
from proxy.supervisor.accepted import Accepted, accept, keep, number, override, path_text, revive
from proxy.supervisor.state_lock import StateLock

SEALING = "sealing of snapshots"

_log = structlog.get_logger("llm_proxy.config")


class Place(Struct, frozen=True):
    """Where the configuration is, where state is kept, and the secret that protects both."""

    config_path: Path | None
    environ: Mapping[str, str]
    state_dir: Path
    runtime_dir: Path
    pepper: bytes
    hasher: KeyHasher
    history: HistoryStore
    watch: FileWatch
    lock: StateLock

    def load(
        self,
        generation: int,
        now_at: float,
        also_listen: tuple[tuple[str, int], ...] = (),
        discovered: bytes | None = None,
    ) -> LoadedConfig:
        """
        Read the configuration as it is now (see `load_config`).

        Raises:
            ConfigError: with every problem.
        """
        try:
            return load_config(
                self.config_path,
                self.environ,
                self.hasher,
                generation=generation,
                now_at=now_at,
                also_listen=also_listen,
                is_found=True,
                discovered=discovered,
            )
        except ConfigError:
            raise
        except Exception as error:  # a fault of ours must not end what is served,
            # nor keep the last good configuration from being served.
            _log.exception("the configuration could not be judged")
            where = ProblemPlace(str(self.config_path or PACKAGED_NAME))
            what = f"this file could not be judged ({type(error).__name__})"
            raise ConfigError(
                [Problem(where, what, "report this: it is a fault of ours")]
            ) from error


class First(Struct, frozen=True):
    """What a start has come to. `error` is why the file is not what is served, None if it is."""

    accepted: Accepted
    look: Look
    """How the files were before they were read."""
    error: str | None = None
    problem_count: int = 0
    warnings: tuple[Problem, ...] = ()
    not_in_force: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


def find_place(config: Path | None, environ: Mapping[str, str]) -> Place:
    """
    Find the configuration and its state directory, and open what protects them.

    Raises:
        ConfigError: the master secret cannot be used.
        OSError: the state directory cannot be used; the text says how to mend that.
    """
    try:
        config_path = find_config(config, environ)
    except ConfigError:
        # A file that is gone is as bad as one that is broken: the last good one may serve.
        config_path = config or Path(environ["PROXY_API_CONFIG"].strip())
    state_dir = find_state_dir(config_path, environ)
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = find_master_secret(config_path, environ, state_dir)
    except OSError as error:
        raise explain_state_dir(state_dir, error) from error
    pepper = secret.derive(PEPPER)
    return Place(
        config_path=config_path,
        environ=environ,
        state_dir=state_dir,
        runtime_dir=find_runtime_dir(state_dir, environ),
        pepper=pepper,
        hasher=KeyHasher(pepper),
        history=open_history(state_dir, secret),
        watch=FileWatch(list_watched(config_path, state_dir)),
        lock=StateLock(state_dir),
    )


def open_history(state_dir: Path, secret: MasterSecret) -> HistoryStore:
    """Return the history that is kept in a state directory."""
    return HistoryStore(state_dir / DIRECTORY_NAME, Sealer(secret.derive(SEALING)))


def load_first(place: Place) -> First:
    """
    Return what is to be served from the start.

    A file that comes to what was served last keeps its generation; any other is a new one,
    and goes into the history.

    Raises:
        ConfigError: the file is broken and nothing was ever accepted from this path.
    """
    now_at = time.time()
    look = place.watch.look()
    newest = place.history.newest(path_text(place.config_path))
    try:
        loaded = place.load(place.history.next_generation(), now_at)
        warnings = _guard(newest, loaded)
    except ConfigError as error:
        if newest is None:
            raise
        return _fall_back(place, look, error)
    accepted = accept(loaded)
    before = _try_revive(place.history, newest)
    changes = () if before is None else describe_changes(before.effective, accepted.effective)
    if before is not None and not changes and before.is_same_as(accepted):
        accepted = number(accepted, before.snapshot.generation)
    else:
        with_cause = "first start" if newest is None else "start"
        _keep(place.history, accepted, with_cause, changes, now_at)
    return First(
        accepted,
        look,
        warnings=(*loaded.warnings, *warnings),
        not_in_force=loaded.not_in_force,
        changes=changes,
    )


def _guard(newest: HistoryEntry | None, loaded: LoadedConfig) -> tuple[Problem, ...]:
    """
    Return what is doubtful about a file beside the last one that was accepted.

    Raises:
        ConfigError: it has no end, and the last one had.
    """
    if newest is None:
        return ()
    verdict = decide_guard(
        GuardFacts(newest.provider_count, newest.has_marker),
        GuardFacts(loaded.own_count, loaded.has_marker),
        source=str(loaded.config_path or ""),
        is_start=True,
    )
    if verdict.problem is not None:
        raise ConfigError([verdict.problem])
    return verdict.warnings


def _fall_back(place: Place, look: Look, error: ConfigError) -> First:
    """Return the newest configuration of this path that can still be opened."""
    path = path_text(place.config_path)
    kept = (entry for entry in place.history.list() if entry.config_path == path)
    accepted = next(filter(None, (_try_revive(place.history, entry) for entry in kept)), None)
    if accepted is None:
        raise error
    install = replace(override(accepted.install, place.environ), state_dir=str(place.state_dir))
    return First(
        replace(accepted, install=install),
        look,
        error=str(error),
        problem_count=len(error.problems),
    )


def _try_revive(history: HistoryStore, entry: HistoryEntry | None) -> Accepted | None:
    if entry is None:
        return None
    try:
        return revive(history, entry)
    except SealBroken as broken:
        # Another secret, or a damaged file: there may be an older one.
        _log.warning("a configuration of the history cannot be opened", reason=str(broken))
        return None


def _keep(
    history: HistoryStore, accepted: Accepted, cause: str, changes: tuple[str, ...], now_at: float
) -> None:
    try:
        keep(history, accepted, cause, changes, now_at)
    except OSError as error:
        _log.error("the history could not be written", reason=str(error))
