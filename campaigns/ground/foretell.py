"""Which beginnings of a file without a marker should be let through: the rule, told once more."""

from pathlib import Path

from campaigns.ground.paced import PROVIDERS
from proxy.config.load import load_config
from proxy.config.problem import ConfigError
from proxy.domain.identity import KeyHasher

HASHER = KeyHasher(b"any pepper of the campaign's own")


def foretell(text: str, folder: Path) -> frozenset[str] | None:
    """Return the models that a beginning of the file leaves, None where it must be refused."""
    beside = folder / "config.yaml"
    beside.write_text(text)
    try:
        loaded = load_config(beside, {}, HASHER, now_at=0.0)
    except ConfigError:
        return None
    count = len(loaded.snapshot.providers)
    is_refused = count == 0 or count < PROVIDERS / 2
    return None if is_refused else frozenset(loaded.snapshot.groups)
