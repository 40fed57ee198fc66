"""Tests of building the C programs."""

import os
from pathlib import Path

import pytest

from bench import toolchain
from bench.toolchain import ToolchainMissing, Tools, build_tools


def test_both_programs_are_built_and_can_be_run(tools: Tools) -> None:
    """The mock and the load generator are executable files."""
    assert os.access(tools.mock, os.X_OK)
    assert os.access(tools.lg, os.X_OK)


def test_what_is_newer_than_its_source_is_kept(tools: Tools) -> None:
    """A second call builds nothing."""
    before_ns = tools.lg.stat().st_mtime_ns
    assert tools == build_tools(tools.lg.parent)
    assert before_ns == tools.lg.stat().st_mtime_ns


def test_no_compiler_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a compiler the error names what was tried and what to install."""
    monkeypatch.setattr(toolchain, "find_compiler", lambda: None)
    with pytest.raises(ToolchainMissing, match=r"tried cc, gcc, clang.*apt-get install gcc"):
        build_tools(tmp_path)
