"""Files that were cut off: which of them could ever be served."""

from pathlib import Path

import pytest

from proxy.config.guard import GuardFacts, decide_guard
from proxy.config.load import LoadedConfig
from proxy.config.problem import ConfigError
from tests.config.loading import GOOD_KEY, load_text

MARKER = "end_of_config: true"
SMALL = f"""\
api_keys:
  - "{GOOD_KEY}"
request_timeout: 120
providers:
  - name: one
    type: simulator
    models: [sim-echo, sim-story]
  - {{name: two, type: lm_studio, base_url: "http://127.0.0.1:1234/v1", models: [phi]}}
  - name: three
    type: simulator
    models:
      - sim-tools
routes:
  - alias: sim-fast
    targets: [{{provider: one, model: sim-echo}}]
"""


def _large() -> str:
    """Return a file with 60 providers."""
    entries = "".join(
        f"  - name: provider-{n}\n    type: lm_studio\n    base_url: http://127.0.0.1:{n + 1}/v1\n"
        f"    models: [model-{n}-a, model-{n}-b]\n    timeout: {n + 10}\n"
        for n in range(60)
    )
    return f"api_keys: ['{GOOD_KEY}']\nproviders:\n{entries}clocks:\n  tls_s: 4\n"


def _load(folder: Path, text: str) -> LoadedConfig | None:
    try:
        return load_text(folder, text)
    except ConfigError:
        return None


def _facts(loaded: LoadedConfig) -> GuardFacts:
    return GuardFacts(len(loaded.snapshot.providers), loaded.has_marker)


def _list_accepted(folder: Path, text: str, lengths: range) -> list[int]:
    """Return the lengths at which the beginning of a file would be served after the whole one."""
    whole = load_text(folder, text)
    accepted = []
    for length in lengths:
        loaded = _load(folder, text[:length])
        if loaded is not None:
            verdict = decide_guard(_facts(whole), _facts(loaded), source="config.yaml")
            if verdict.problem is None:
                accepted.append(length)
    return accepted


@pytest.mark.parametrize(("text", "step"), [(SMALL, 1), (_large(), 37)], ids=["small", "large"])
def test_no_beginning_of_a_file_with_its_end_marked_is_served(
    tmp_path: Path, text: str, step: int
) -> None:
    """Every cut before the marker is whole is refused by load or guard, wherever it is."""
    marked = f"{text}{MARKER}\n"
    assert _list_accepted(tmp_path, marked, range(0, len(text), step)) == []
    assert _list_accepted(tmp_path, marked, range(len(text), len(text) + len(MARKER))) == []
    # All but the last line feed is the whole file.
    assert _list_accepted(tmp_path, marked, range(len(marked) - 1, len(marked))) != []


@pytest.mark.parametrize(("text", "step"), [(SMALL, 1), (_large(), 37)], ids=["small", "large"])
def test_without_a_marker_what_is_served_has_half_of_the_providers(
    tmp_path: Path, text: str, step: int
) -> None:
    """Of the cuts that load, exactly those are refused that leave less than half, or nothing."""
    count = len(load_text(tmp_path, text).snapshot.providers)
    lengths = range(0, len(text), step)
    accepted = set(_list_accepted(tmp_path, text, lengths))
    loaded = {length: _load(tmp_path, text[:length]) for length in lengths}
    enough = {
        length
        for length, config in loaded.items()
        if config is not None and 2 * len(config.snapshot.providers) >= count
    }
    assert accepted == enough
    assert accepted, "the guard lets some cuts pass: that is what the marker is for"
