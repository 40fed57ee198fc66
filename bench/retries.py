"""
The row `retries`: a provider that fails now and then, asked with and without repeating.

Four models of one flaky provider are asked side by side: some of whose answers are cut off and
some that are 429, each once with `max_retries: 0` and once with the default. What is measured is
the share of requests that are answered, and what it costs in time.
"""

import http.client
import json
import secrets
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from bench.cores import pinned_to
from bench.load import LoadFailed, LoadPlan, LoadResult
from bench.own_systems import Proxy, build_proxy_config
from bench.results import RowResult
from bench.rows import Row, Target
from bench.systems import CHAT_PATH, Ground, Launch

NAME = "retries"
CUT, LIMITED = "cut-10", "limited-20"
NONE, DEFAULT = "none", "default"
PAUSE_S = 0.05
"""Between two requests of a client, who comes again after an error too."""
CLIENTS = {CUT: 8, LIMITED: 1}
ANSWER_WITHIN_S = 60.0


class FlakyProxy(Proxy):
    """Our own server in front of a provider that fails now and then."""

    def build_launch(self, ground: Ground) -> Launch:
        """Have that provider started first."""
        beside = [sys.executable, "-m", "bench.flaky_upstream", str(ground.beside_port)]
        return msgspec.structs.replace(super().build_launch(ground), beside=beside)

    def build_config(self, ground: Ground, api_key: str) -> str:
        """Return the text of its config.yaml: the flaky provider once for each way to ask it."""
        own = build_proxy_config(ground, api_key)
        return own + "".join(
            _build_provider(ground, kind, way) for kind in CLIENTS for way in (NONE, DEFAULT)
        )


class Seen(Struct):
    """What the clients of one model have seen."""

    good_s: list[float] = field(default_factory=list)
    repeated_s: list[float] = field(default_factory=list)
    """Of the good ones those for which a provider was asked more than once."""
    failed: int = 0

    @property
    def share(self) -> float:
        """How many of a hundred requests were answered."""
        return 100 * len(self.good_s) / max(1, len(self.good_s) + self.failed)


def build_retries_row(is_quick: bool) -> Row:
    """Return the row; a 429 takes its second, of which the window must hold several."""
    plan = LoadPlan(18, 4.0 if is_quick else 8.0, 0.0)
    return Row(NAME, "a provider that fails now and then", plan, start="own")


def measure_retries(row: Row, target: Target) -> RowResult:
    """Ask for all models at once, and return what became of the requests."""
    end_s = time.monotonic() + row.plan.measure_s
    seen = {(kind, way): Seen() for kind in CLIENTS for way in (NONE, DEFAULT)}
    # Threads stay on the core of who has started them.
    with pinned_to(target.tools_cores), ThreadPoolExecutor(row.plan.connections) as pool:
        runs = [
            pool.submit(_ask_until, target, build_model(*key), each, end_s)
            for key, each in seen.items()
            for _ in range(CLIENTS[key[0]])
        ]
        for run in runs:
            run.result()
    figures = derive_figures("cut", seen[CUT, NONE], seen[CUT, DEFAULT])
    figures |= derive_figures("limited", seen[LIMITED, NONE], seen[LIMITED, DEFAULT])
    return RowResult(row=row.name, figures=figures, load=_sum_up(row, list(seen.values())))


def derive_figures(kind: str, without: Seen, default: Seen) -> dict[str, float]:
    """Return the figures of one kind of fault; what could not be measured is left out."""
    figures = {f"{kind}_share_none": without.share, f"{kind}_share": default.share}
    if without.good_s and default.good_s:
        added_s = statistics.median(default.good_s) - statistics.median(without.good_s)
        figures[f"{kind}_added_p50_ms"] = max(0.0, added_s) * 1000
    if default.repeated_s:
        figures[f"{kind}_repeated_ms"] = statistics.median(default.repeated_s) * 1000
    return figures


def build_model(kind: str, way: str) -> str:
    """Return the model that stands for a kind of fault and a way to meet it."""
    return f"{kind}-{way}"


def _ask_until(target: Target, model: str, seen: Seen, end_s: float) -> None:
    """Be one client: one request after the other, on one connection."""
    message = {"role": "user", "content": "hello"}
    body = json.dumps({"model": model, "messages": [message]})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {target.api_key}"}
    client = http.client.HTTPConnection(urlsplit(target.url).netloc, timeout=ANSWER_WITHIN_S)
    try:
        while time.monotonic() < end_s:
            begun_s = time.perf_counter()
            client.request("POST", CHAT_PATH, body, headers)
            answer = client.getresponse()
            answer.read()
            took_s = time.perf_counter() - begun_s
            if answer.status != 200:
                seen.failed += 1
            else:
                seen.good_s.append(took_s)
                if answer.headers.get("x-llm-proxy-attempts") != "1":
                    seen.repeated_s.append(took_s)
            time.sleep(PAUSE_S)
    except (OSError, http.client.HTTPException) as error:
        raise LoadFailed(f"a client of row {NAME} was cut off: {type(error).__name__}") from error
    finally:
        client.close()


def _sum_up(row: Row, seen: list[Seen]) -> LoadResult:
    """Return the counts of all clients; refusals are what is measured here, and no errors."""
    times_us = sorted(took_s * 1e6 for each in seen for took_s in each.good_s) or [-1.0]
    percentiles = {
        name: times_us[int(share * (len(times_us) - 1))]
        for name, share in (("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("max_us", 1.0))
    }
    good = sum(len(each.good_s) for each in seen)
    return LoadResult(
        ok=good,
        err=0,
        err_status=0,
        err_conn=0,
        err_short=0,
        chunks=0,
        connections=row.plan.connections,
        elapsed_s=row.plan.measure_s,
        requests_per_s=good / row.plan.measure_s,
        chunks_per_s=0.0,
        ttft50_us=-1.0,
        ttft99_us=-1.0,
        transit50_us=-1.0,
        transit99_us=-1.0,
        lg_cpu_s=0.0,
        **percentiles,
    )


def _build_provider(ground: Ground, kind: str, way: str) -> str:
    retries = "    max_retries: 0\n" if way == NONE else ""
    return f"""\
  - name: "flaky-{kind}-{way}"
    type: "openai"
    base_url: "http://127.0.0.1:{ground.beside_port}/v1"
    api_key: "sk-upstream-{secrets.token_hex(16)}"
{retries}    models:
      - "{build_model(kind, way)}"
"""
