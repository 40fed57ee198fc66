"""
The row `reload`: the server has 10,000 models, and its configuration changes again and again.

One value is edited under load, as an operator would: a new file is renamed over the old one.
What is measured is the slowest request, beside that of the same load without edits.
"""

import http.client
import statistics
import time
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from bench.load import LoadFailed, LoadPlan
from bench.own_systems import Proxy, build_proxy_config
from bench.process import StartedProcess, read_rss_bytes
from bench.results import RowResult
from bench.rows import Row, Target, run_load
from bench.systems import MODEL, Ground
from bench.toolchain import Tools

NAME = "reload"
PROVIDERS, MODELS_EACH = 500, 20
LOOK_S = 0.02
LAST_EDIT_S = 4.0
"""Before the end of the window: an edit comes into force within it."""
IN_FORCE_WITHIN_S = 30.0


class LargeProxy(Proxy):
    """Our own server with 500 providers of 20 models."""

    def build_config(self, ground: Ground, api_key: str) -> str:
        """Return the text of its config.yaml."""
        own = build_proxy_config(ground, api_key) + f'      - "{build_mark(0)}"\n'
        others = range(1, PROVIDERS)
        return own + "".join(_build_provider(ground, number) for number in others)


class Watched(Struct):
    """What was seen beside the load."""

    peak_rss_bytes: int = 0
    times_s: list[float] = []


def build_reload_row(is_quick: bool) -> Row:
    """Return the row; its window must hold several reloads."""
    plan = LoadPlan(1, 10.0 if is_quick else 20.0, 0.5)
    return Row(NAME, "1 client, JSON, while 10,000 models are reloaded", plan, start="own")


def build_mark(version: int) -> str:
    """Return the model by which a version of the file can be told."""
    return f"reload-{version}"


def measure_reloads(
    row: Row, target: Target, measured: StartedProcess, config_file: Path, tools: Tools
) -> RowResult:
    """Load the target without edits and with them, and return what these have cost."""
    worker = _Worker(target, config_file)
    quiet, _, before = run_load(row.plan, target, tools, lambda _, end_s: worker.watch(end_s))
    loud, complaint, seen = run_load(row.plan, target, tools, lambda _, end_s: worker.edit(end_s))
    figures = {
        "reload_slowest_ms": loud.max_us / 1000,
        "reload_added_ms": max(0.0, loud.max_us - quiet.max_us) / 1000,
        "reload_s": statistics.median(seen.times_s),
        "reload_growth_mb": (seen.peak_rss_bytes - before.peak_rss_bytes) / 1e6,
        "rss_large_mb": before.peak_rss_bytes / 1e6,
        "rss_large_supervisor_mb": read_rss_bytes([measured.pid]) / 1e6,
    }
    return RowResult(row=row.name, figures=figures, load=loud, complaint=complaint)


class _Worker:
    """The one that serves: its memory, and which version of the file it knows."""

    def __init__(self, target: Target, config_file: Path) -> None:
        self._target = target
        self._config_file = config_file
        self._address = urlsplit(target.url).netloc
        self._version = 0

    def watch(self, end_s: float) -> Watched:
        """Only look: what looking costs is in the figures without edits too."""
        watched = Watched()
        while time.monotonic() < end_s:
            self._look(watched)
        return watched

    def edit(self, end_s: float) -> Watched:
        """Make one edit after the other, each when the last one is in force."""
        watched = Watched()
        while time.monotonic() < end_s - LAST_EDIT_S or not watched.times_s:
            self._change()
            begun_s = time.monotonic()
            while not self._look(watched):
                if time.monotonic() > begun_s + IN_FORCE_WITHIN_S:
                    raise LoadFailed(f"an edit was not in force after {IN_FORCE_WITHIN_S:g} s")
            watched.times_s.append(time.monotonic() - begun_s)
        while time.monotonic() < end_s:
            self._look(watched)
        return watched

    def _change(self) -> None:
        old, self._version = build_mark(self._version), self._version + 1
        text = self._config_file.read_text().replace(old, build_mark(self._version), 1)
        beside = self._config_file.with_suffix(".new")
        beside.write_text(text)
        beside.chmod(0o600)
        beside.replace(self._config_file)

    def _look(self, watched: Watched) -> bool:
        """Wait a moment, look at the memory, and say whether the newest version is served."""
        time.sleep(LOOK_S)
        watched.peak_rss_bytes = max(watched.peak_rss_bytes, self._target.read_rss_bytes())
        client = http.client.HTTPConnection(self._address, timeout=IN_FORCE_WITHIN_S)
        try:
            headers = {"Authorization": f"Bearer {self._target.api_key}"}
            client.request("GET", f"/v1/models/{build_mark(self._version)}", headers=headers)
            return client.getresponse().status == 200
        except (OSError, http.client.HTTPException) as error:
            raise LoadFailed(f"a look at the models broke off: {type(error).__name__}") from error
        finally:
            client.close()


def _build_provider(ground: Ground, number: int) -> str:
    models = "".join(f'      - "{MODEL}-{number}-{each}"\n' for each in range(MODELS_EACH))
    return f"""\
  - name: "mock-{number}"
    type: "openai"
    base_url: "http://127.0.0.1:{ground.mock_port}/v1"
    api_key: "sk-upstream-{number:032d}"
    models:
{models}"""
