"""Tests of the row that reloads a large configuration."""

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench import reload
from bench.cores import NOT_PINNED
from bench.figures import FIGURES
from bench.load import LoadPlan
from bench.own_systems import Proxy
from bench.reload import MODELS_EACH, PROVIDERS, LargeProxy, build_mark, build_reload_row
from bench.slot import run_slot
from bench.systems import Ground
from bench.toolchain import Tools
from proxy.config.load import load_config
from proxy.domain.identity import KeyHasher


def test_the_large_configuration_is_valid_and_large(tmp_path: Path) -> None:
    """It has 500 providers, 10,000 models, and one by which its version can be told."""
    path = tmp_path / "config.yaml"
    path.write_text(LargeProxy().build_config(Ground(8000, 8001, tmp_path), "sk-bench-key"))
    snapshot = load_config(path, {}, KeyHasher(b"k"), now_at=time.time()).snapshot
    assert len(snapshot.providers) == PROVIDERS == 500
    assert PROVIDERS * MODELS_EACH == 10_000
    assert build_mark(0) in snapshot.groups
    assert len(snapshot.groups) >= 9_900


def test_reloads_under_load_give_every_figure_of_theirs(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small configuration too: the real server takes each edit, and no request fails."""
    monkeypatch.setattr(reload, "PROVIDERS", 3)
    monkeypatch.setattr(reload, "LAST_EDIT_S", 0.5)
    row = build_reload_row(is_quick=True)
    short = replace(row, plan=LoadPlan(1, 1.5, 0.1))
    slot = run_slot(Proxy(), 1, [short], tools, NOT_PINNED, lambda result: None)
    assert slot.failure is None
    (result,) = slot.rows
    assert result.load.err == 0
    assert result.figures["reload_s"] > 0
    names = {figure.name for figure in FIGURES if figure.name.startswith(("reload_", "rss_large_"))}
    assert set(result.figures) == names
