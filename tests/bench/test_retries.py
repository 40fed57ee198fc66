"""Tests of the row with a provider that fails now and then."""

import json
from pathlib import Path

import pytest
from msgspec import structs

from bench import retries
from bench.cores import NOT_PINNED
from bench.figures import FIGURES
from bench.flaky_upstream import GOOD, LIMITED, Flaky
from bench.load import LoadPlan
from bench.own_systems import Proxy
from bench.retries import (
    CUT,
    DEFAULT,
    NONE,
    FlakyProxy,
    Seen,
    build_model,
    build_retries_row,
    derive_figures,
)
from bench.slot import run_slot
from bench.systems import Ground
from bench.toolchain import Tools
from proxy.config.load import load_config
from proxy.domain.identity import KeyHasher


def test_the_configuration_asks_each_way(tmp_path: Path) -> None:
    """Each kind of fault has a provider that is never asked again and one with the default."""
    path = tmp_path / "config.yaml"
    ground = Ground(8000, 8001, tmp_path, beside_port=8002)
    path.write_text(FlakyProxy().build_config(ground, f"sk-bench-{'0' * 32}"))
    loaded = load_config(path, {}, KeyHasher(b"k"), now_at=0.0)
    assert loaded.warnings == ()
    repeats = [
        loaded.snapshot.groups[build_model(kind, way)].deployments[0].provider.max_retries
        for kind in retries.CLIENTS
        for way in (NONE, DEFAULT)
    ]
    assert repeats == [0, 3, 0, 3]


def test_the_provider_fails_at_even_intervals() -> None:
    """Every tenth answer is cut off, every twentieth request is limited; models count apart."""
    flaky = Flaky()
    cut = [flaky.answer("cut-10-none") for _ in range(20)]
    assert [turn for turn, (_, breaks) in enumerate(cut, 1) if breaks] == [10, 20]
    assert cut[9][0] == GOOD[:20]
    limited = [flaky.answer("limited-20-default") for _ in range(20)]
    assert [turn for turn, (data, _) in enumerate(limited, 1) if data == LIMITED] == [20]
    assert json.loads(GOOD.partition(b"\r\n\r\n")[2])["choices"]


def test_figures_are_shares_and_differences() -> None:
    """Of what was seen without and with repeating; what was not seen is left out."""
    figures = derive_figures("cut", Seen([0.001], [], 1), Seen([0.002, 0.003], [0.003], 0))
    assert figures == {
        "cut_share_none": 50.0,
        "cut_share": 100.0,
        "cut_added_p50_ms": pytest.approx(1.5),
        "cut_repeated_ms": pytest.approx(3.0),
    }
    assert derive_figures("cut", Seen(), Seen()) == {"cut_share_none": 0.0, "cut_share": 0.0}


def test_the_real_server_is_asked_both_ways(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short load of cut answers gives their figures: repeating answers what else is lost."""
    monkeypatch.setattr(retries, "PAUSE_S", 0.0)
    row = build_retries_row(is_quick=True)
    short = structs.replace(row, plan=LoadPlan(row.plan.connections, 0.5, 0.0))
    slot = run_slot(Proxy(), 1, [short], tools, NOT_PINNED, lambda result: None)
    assert slot.failure is None
    figures = slot.rows[0].figures
    assert figures["cut_share_none"] < figures["cut_share"]
    assert set(figures) <= {figure.name for figure in FIGURES}
    assert build_model(CUT, NONE) != build_model(CUT, DEFAULT)
