"""
Runs the checks of one framework, and tells what they found: `run.py <file of checks>`.

Started by `campaigns/clients.py` with the interpreter of the framework's own environment, which
holds nothing of this project: only the standard library is imported here. A file of checks has
`PACKAGE`, the name of what it asks through, and `CHECKS`, a function for each name; each gets the
`Ground` and the place to ask. Prints the version, then one JSON line for each check and place.
"""

import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.request import Request, urlopen


class Ground:
    """Where the proxy is, what it is asked, and what it is asked about beside."""

    text = "Say this again, word for word, please."
    max_tokens = 2000
    thought = " Let me see what was"
    """What `sim-echo@5thoughts` thinks."""
    picture = (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
        "RU5ErkJggg=="
    )
    """A PNG of one pixel, in Base64."""
    picture_seen = "I see: image/png of 70 bytes."
    """What `sim-look` says about it."""
    slow = "sim-echo@1s"
    """What makes its client wait for a second."""

    def __init__(self, url: str | None = None) -> None:
        self.url = url or os.environ["PROXY_URL"]
        self.key = os.environ["PROXY_KEY"]
        self.wrong_key = os.environ["WRONG_KEY"]
        self._admin_key = os.environ["PROXY_ADMIN_KEY"]
        self._ledger_url = os.environ["LEDGER_URL"]
        self._ledger_key = os.environ["LEDGER_KEY"]

    def find_slow(self) -> "Ground":
        """Return the same at the proxy that soon says that an answer is still awaited."""
        return Ground(os.environ["SLOW_URL"])

    def close_breakers(self) -> None:
        """Forget every failure so far, so that the next request is asked of its provider."""
        _ask("POST", f"{self.url}/admin/breakers/*/reset", self._admin_key)

    def count_asked(self, call: Callable[[], Any]) -> int:
        """Return how often the provider is asked by a call that raises."""
        self.close_breakers()
        _ask("DELETE", f"{self._ledger_url}/ledger", self._ledger_key)
        try:
            call()
        except Exception:  # noqa: BLE001 - which one it is is not what is looked at here
            entries: list[Any] = _ask("GET", f"{self._ledger_url}/ledger", self._ledger_key)[
                "entries"
            ]
            return len(entries)
        raise AssertionError("it did not fail")


def main() -> None:
    path = Path(sys.argv[1])
    checks = load_checks(path)
    print(json.dumps({"package": checks.PACKAGE, "version": version(checks.PACKAGE)}), flush=True)
    ground, told = Ground(), sys.stdout
    # Some frameworks print advice to whoever uses them.
    sys.stdout = sys.stderr
    for name, check in checks.CHECKS.items():
        for place in json.loads(os.environ["PLACES"]):
            ground.close_breakers()
            verdict = "ok"
            try:
                check(ground, place)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong is the check's finding
                traceback.print_exc()
                verdict = f"{type(error).__name__}: {error}"
            found = {"check": name, "place": place, "verdict": verdict}
            print(json.dumps(found), file=told, flush=True)


def load_checks(path: Path) -> ModuleType:
    """Return a file as a module; it lies in no place that this interpreter would look in."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Frameworks look up the annotations of functions by the module's name.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _ask(method: str, url: str, key: str) -> Any:
    request = Request(url, headers={"Authorization": f"Bearer {key}"}, method=method)
    with urlopen(request, timeout=20) as answer:
        return json.loads(answer.read() or b"null")


if __name__ == "__main__":
    main()
