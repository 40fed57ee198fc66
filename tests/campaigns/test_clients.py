"""What the campaign of frameworks makes of their checks, and what it installs."""

import json
from pathlib import Path

import pytest

from campaigns.clients import (
    EXAMPLES,
    FRAMEWORKS,
    NOT_INSTALLED,
    PLACES,
    PROGRAMS,
    Framework,
    build_result,
    read_lines,
)
from campaigns.programs.clients.run import load_checks

VERSION = {"package": "acme", "version": "1.0"}


def test_a_check_that_one_place_fails_fails_the_campaign() -> None:
    """Each verdict stands in the column of its place, and what is not `ok` is a failure."""
    lines = [{"check": "text", "place": place, "verdict": "ok"} for place in PLACES]
    lines += [{"check": "stream", "place": PLACES[0], "verdict": "ValueError: no"}]
    result = build_result({"Acme": read_lines([VERSION, *lines])}, "v20")
    assert result.rows["Acme, text"] == ["ok"] * len(PLACES)
    assert result.rows["Acme, stream"][:2] == ["ValueError: no", "did not run"]
    assert result.failures == ["Acme, stream"]
    assert "Asked through: acme 1.0." in result.notes


def test_a_framework_that_is_not_there_is_told() -> None:
    """What could not be installed is named above the table, and is no success."""
    result = build_result({"Acme": (None, {NOT_INSTALLED: [NOT_INSTALLED] * len(PLACES)})}, "v20")
    assert result.notes[-1].endswith("not asked: Acme.")
    assert result.failures


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=lambda one: one.name)
def test_every_framework_has_its_checks(framework: Framework) -> None:
    """Each one's checks lie where they are run; what is installed for it has an upper bound."""
    folder = "clients" if framework.locked is None else "node"
    assert (PROGRAMS / folder / framework.checks).is_file()
    assert all("<" in wanted for wanted in framework.wanted)


def test_every_framework_is_shown_and_every_example_is_run() -> None:
    """docs/clients.md has an example for each framework, in its language, and no other."""
    assert set(EXAMPLES) == {one.heading for one in FRAMEWORKS}
    for one in FRAMEWORKS:
        wanted = "python" if one.locked is None else "js"
        assert EXAMPLES[one.heading].language == wanted
        filled = EXAMPLES[one.heading].fill("http://there:1", "sk-mine", "a/b")
        assert all(text in filled for text in ("http://there:1", "sk-mine", 'a/b"'))


@pytest.mark.parametrize("folder", sorted({one.locked for one in FRAMEWORKS if one.locked}))
def test_what_node_gets_is_locked_without_addresses(folder: str) -> None:
    """The lock file has the exact versions of the manifest, hashes, and no place to load from."""
    manifest = json.loads((PROGRAMS / "node" / folder / "package.json").read_text())
    lock = json.loads((PROGRAMS / "node" / folder / "package-lock.json").read_text())
    root, *others = lock["packages"].values()
    assert root["dependencies"] == manifest["dependencies"]
    for name, version in manifest["dependencies"].items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    assert all("integrity" in other and "resolved" not in other for other in others)


def test_a_file_of_checks_is_a_module_by_its_name(tmp_path: Path) -> None:
    """What a file defines is found in it, wherever the file lies."""
    path = tmp_path / "acme_checks.py"
    path.write_text("PACKAGE = 'acme'\nCHECKS = {'text': print}\n")
    checks = load_checks(path)
    assert (checks.__name__, checks.PACKAGE) == ("acme_checks", "acme")
