"""
A configuration that was accepted: from files, or from the history where the files are broken.

What makes one out of files is `proxy/config/`; when that happens is decided in `live_config.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.config.effective import EffectiveValue
from proxy.config.guard import GuardFacts
from proxy.config.history import HistoryEntry, HistoryStore
from proxy.config.load import LoadedConfig
from proxy.config.seal import SealBroken
from proxy.config.snapshot import decode_snapshot, encode_snapshot
from proxy.config.sources import SourceFile
from proxy.domain.catalog import Snapshot
from proxy.domain.health import WatchedEndpoint
from proxy.domain.settings import InstallSettings


class Accepted(Struct, frozen=True):
    """What is served, with what the next edit is compared to."""

    snapshot: Snapshot
    install: InstallSettings
    effective: tuple[EffectiveValue, ...]
    facts: GuardFacts
    config_path: Path | None
    files: tuple[SourceFile, ...] = ()
    parts: tuple[bytes, ...] = ()
    """The snapshot as it travels to workers."""
    watched: tuple[WatchedEndpoint, ...] = ()
    """What the health worker watches besides; () for what comes from the history."""
    discovered: bytes | None = None
    """What was read of `discovered.json`; goes on while that cannot be read."""

    def is_same_as(self, other: "Accepted") -> bool:
        """Return whether both come to the same, whatever their numbers are."""
        numbered = replace(
            other.snapshot,
            generation=self.snapshot.generation,
            created_at=self.snapshot.created_at,
        )
        return self.snapshot == numbered and self.install == other.install


class _Sealed(Struct, frozen=True):
    """What the history keeps out of sight: everything that is needed to serve."""

    install: InstallSettings
    parts: tuple[bytes, ...]


def accept(loaded: LoadedConfig) -> Accepted:
    """Return what a loaded configuration comes to."""
    return Accepted(
        snapshot=loaded.snapshot,
        install=loaded.install,
        effective=loaded.effective,
        facts=GuardFacts(loaded.own_count, loaded.has_marker),
        config_path=loaded.config_path,
        files=loaded.files,
        parts=encode_snapshot(loaded.snapshot),
        watched=loaded.probes,
        discovered=loaded.discovered,
    )


def number(accepted: Accepted, generation: int) -> Accepted:
    """Return the same under another generation number."""
    snapshot = replace(accepted.snapshot, generation=generation)
    return replace(accepted, snapshot=snapshot, parts=encode_snapshot(snapshot))


def keep(
    history: HistoryStore, accepted: Accepted, cause: str, changes: Sequence[str], now_at: float
) -> None:
    """
    Add what is about to be served to the history.

    Raises:
        OSError: the state directory cannot be written.
    """
    entry = HistoryEntry(
        generation=accepted.snapshot.generation,
        accepted_at=now_at,
        cause=cause,
        changes=tuple(changes),
        config_path=path_text(accepted.config_path),
        has_marker=accepted.facts.has_marker,
        provider_count=accepted.facts.provider_count,
        effective=accepted.effective,
    )
    payload = msgspec.msgpack.encode(_Sealed(accepted.install, accepted.parts))
    history.add(entry, accepted.files, payload)


def revive(history: HistoryStore, entry: HistoryEntry) -> Accepted:
    """
    Return what an entry of the history was when it was accepted.

    Raises:
        SealBroken: it was not written with our secret, or not whole.
    """
    try:
        sealed = msgspec.msgpack.decode(history.read_payload(entry.generation), type=_Sealed)
        snapshot = decode_snapshot(sealed.parts)
    except (OSError, msgspec.MsgspecError) as error:
        raise SealBroken(f"generation {entry.generation} cannot be read: {error}") from error
    return Accepted(
        snapshot=snapshot,
        install=sealed.install,
        effective=entry.effective,
        facts=GuardFacts(entry.provider_count, entry.has_marker),
        config_path=None if entry.config_path is None else Path(entry.config_path),
        parts=sealed.parts,
    )


def path_text(path: Path | None) -> str | None:
    """Return a configuration's path as the history knows it; None is the packaged copy."""
    return None if path is None else str(path.absolute())


def override(install: InstallSettings, environ: Mapping[str, str]) -> InstallSettings:
    """Return settings of the history with what the command line says about the address now."""
    host, port = environ.get("PROXY_API_HOST"), environ.get("PROXY_API_PORT", "")
    first_host, first_port = install.listen[0]
    first = (host or first_host, int(port) if port.isdigit() else first_port)
    return replace(install, listen=(first, *install.listen[1:]))
