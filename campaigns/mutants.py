"""
Can the tests of breaker and retries fail: `make campaign NAME=mutants`.

mutmut changes the two sources one spot at a time, in a copy of them, and runs their tests on each
change. Those that the tests do not notice are listed in the result.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from campaigns.base import PASSED, ROOT, Result, write_result

SOURCES = ("breaker", "retry")
FEWEST_PERCENT = 85
SURVIVED = 0
"""The tests' exit status: they have found nothing wrong."""
NOT_TESTED = 33
WITHIN_S = 3600

SETTINGS = """
[tool.mutmut]
source_paths = ["proxy"]
only_mutate = {sources}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:valkey"]
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_sources(folder)
        mutmut = Path(sys.executable).parent / "mutmut"
        subprocess.run([mutmut, "run"], cwd=folder, check=True, timeout=WITHIN_S)
        statuses = {source: read_statuses(folder, source) for source in SOURCES}
        survivors = [
            f"`{source}.py`: {show(mutmut, folder, key)}"
            for source, found in statuses.items()
            for key, status in found.items()
            if status in (SURVIVED, NOT_TESTED)
        ]
    rows = {
        f"proxy/policy/{source}.py: {FEWEST_PERCENT} % noticed or more": [judge(found)]
        for source, found in statuses.items()
    }
    notes = [
        f"mutmut {version('mutmut')} on a copy of both, with the tests of both in `tests/policy`.",
        *(describe(source, found) for source, found in statuses.items()),
        "Not noticed:" if survivors else "All were noticed.",
        "\n".join(f"- {each}" for each in survivors),
    ]
    title = "Mutants: can the tests of breaker and retries fail"
    return write_result(Result("mutants", title, ["found"], rows, notes))


def copy_sources(folder: Path) -> None:
    """Copy what is changed and what tests it: mutmut writes beside its sources."""
    shutil.copytree(ROOT / "proxy", folder / "proxy", ignore=shutil.ignore_patterns("__pycache__"))
    tests = [f"tests/policy/test_{source}.py" for source in SOURCES]
    for path in ("tests/__init__.py", "tests/policy/__init__.py", *tests):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    sources = [f"proxy/policy/{source}.py" for source in SOURCES]
    settings = SETTINGS.format(sources=json.dumps(sources), tests=json.dumps(tests))
    (folder / "pyproject.toml").write_text(settings, encoding="utf-8")


def read_statuses(folder: Path, source: str) -> Mapping[str, int | None]:
    """Return the tests' exit status for each change of one source."""
    path = folder / "mutants" / "proxy" / "policy" / f"{source}.py.meta"
    found: dict[str, int | None] = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def show(mutmut: Path, folder: Path, key: str) -> str:
    """Return what one change was, on one line."""
    shown = subprocess.run(
        [mutmut, "show", key], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    before = [line[1:].strip() for line in shown if line.startswith("- ")]
    after = [line[1:].strip() for line in shown if line.startswith("+ ")]
    return f"`{' '.join(before)}` became `{' '.join(after)}`"


def judge(found: Mapping[str, int | None]) -> str:
    """Return whether enough was noticed."""
    percent = count_noticed(found) * 100 / len(found) if found else 0.0
    return PASSED if percent >= FEWEST_PERCENT else f"{percent:.1f} %"


def describe(source: str, found: Mapping[str, int | None]) -> str:
    """Return how many changes of one source were noticed."""
    noticed = count_noticed(found)
    untested = Counter(found.values())[NOT_TESTED]
    return (
        f"`{source}.py`: {noticed} of {len(found)} changes were noticed "
        f"({noticed * 100 / len(found):.1f} %); {untested} were run by no test."
    )


def count_noticed(found: Mapping[str, int | None]) -> int:
    """Return how many changes made the tests fail, or never end."""
    return sum(status not in (SURVIVED, NOT_TESTED, None) for status in found.values())


if __name__ == "__main__":
    sys.exit(main())
