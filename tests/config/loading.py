"""Loads configurations that tests write: text in, `LoadedConfig` or lines of problems out."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from proxy.config.load import LoadedConfig, load_config
from proxy.config.node import Node
from proxy.config.parse import parse_yaml
from proxy.config.problem import ConfigError
from proxy.domain.identity import KeyHasher

HASHER = KeyHasher(b"p" * 32)
GOOD_KEY = "k-0123456789abcdef0123456789abcdef"


def load_text(
    folder: Path,
    text: str,
    environ: Mapping[str, str] | None = None,
    *,
    dot_env: str | None = None,
    probes: str | None = None,
) -> LoadedConfig:
    """Write the files into `folder` and load them; messages call them by their full path."""
    path = folder / "config.yaml"
    path.write_text(text, "utf-8")
    if dot_env is not None:
        (folder / ".env").write_text(dot_env, "utf-8")
    if probes is not None:
        (folder / "health_worker_providers.json").write_text(probes, "utf-8")
    return load_config(path, environ or {}, HASHER, now_at=1000.0)


def problems_of(
    folder: Path,
    text: str,
    environ: Mapping[str, str] | None = None,
    *,
    dot_env: str | None = None,
    probes: str | None = None,
) -> list[str]:
    """Return the problems of files that must not load, without the path of `folder`."""
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text, environ, dot_env=dot_env, probes=probes)
    assert str(caught.value).splitlines() == [str(p) for p in caught.value.problems]
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def warnings_of(loaded: LoadedConfig) -> list[str]:
    """Return the warnings as text."""
    return [str(warning) for warning in loaded.warnings]


def tree_of(text: str) -> Node:
    """Return the tree of YAML that must be readable."""
    parsed = parse_yaml(text.encode(), "config.yaml")
    assert parsed.tree is not None, parsed.problems
    assert not parsed.problems
    return parsed.tree
