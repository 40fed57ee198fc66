"""`llm-proxy import-litellm`: what it writes, and what it never overwrites."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli.main import app

LITELLM = """\
model_list:
  - model_name: mine
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, tags: [a]}
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of LiteLLM's in a directory that is worked in."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "litellm.yaml"
    path.write_text(LITELLM)
    return path


def run(*arguments: str) -> tuple[int, str, str]:
    """Return (exit status, standard output, standard error)."""
    result = CliRunner().invoke(app, ["import-litellm", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_it_writes_a_configuration_that_passes(source: Path) -> None:
    """The file is its owner's alone, is valid, and what is missing is said on standard error."""
    status, out, err = run("litellm.yaml")
    path = source.parent / "config.yaml"
    assert status == 0
    assert out == (
        "config.yaml was written: 1 providers, 1 routes. Look through it: "
        "llm-proxy check config.yaml\n"
    )
    assert err == "model_list[0] mine.tags: requests are not routed by tags\n"
    assert path.stat().st_mode & 0o777 == 0o600
    checked = CliRunner().invoke(app, ["check", "config.yaml"])
    assert checked.exit_code == 0
    assert "config.yaml is valid." in checked.stdout


def test_nothing_is_overwritten_unless_it_is_wanted(source: Path) -> None:
    """A file of that name stays; with --force it is replaced; what is read never is."""
    (source.parent / "config.yaml").write_text("mine: true")
    status, _, err = run("litellm.yaml")
    assert (status, err.count("--force")) == (2, 1)
    assert (source.parent / "config.yaml").read_text() == "mine: true"
    assert run("litellm.yaml", "--force")[0] == 0
    assert "providers:" in (source.parent / "config.yaml").read_text()
    status, _, err = run("litellm.yaml", "--output", "litellm.yaml", "--force")
    assert (status, source.read_text()) == (2, LITELLM)
    assert "is the file that is read" in err


@pytest.mark.parametrize(
    ("name", "word"),
    [("nowhere.yaml", "No such file"), ("other.yaml", "no model_list"), (".", "it is no file")],
)
def test_what_cannot_be_imported_is_told(source: Path, name: str, word: str) -> None:
    """The file is named with the reason, and nothing is written."""
    (source.parent / "other.yaml").write_text("a: 1")
    status, out, err = run(name)
    assert (status, out) == (2, "")
    assert word in err
    assert not (source.parent / "config.yaml").exists()


def test_a_place_that_cannot_be_written_is_told(source: Path) -> None:
    """A directory that is not there is an error of one line."""
    status, _, err = run("litellm.yaml", "-o", "nowhere/config.yaml")
    assert status == 2
    assert err == "nowhere/config.yaml cannot be written: No such file or directory.\n"
