"""The load generator `lg`: what it is asked, how it is called and what it answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, field


class LoadFailed(Exception):
    """`lg` did not give a result; the text says why."""


class LoadPlan(Struct, frozen=True):
    """One run of `lg`; the meaning of each field is in lg.c."""

    connections: int
    measure_s: float
    warmup_s: float
    streams: bool = False
    chunks: int = 100
    delay_ms: int = 0
    ramp_ms: int = 0
    prompt_bytes: int | None = None
    model: str | None = None
    as_anthropic: bool = False

    @property
    def total_s(self) -> float:
        """How long the run takes."""
        return self.warmup_s + self.measure_s


class LoadResult(Struct, frozen=True):
    """What `lg` has measured; a percentile is -1 where there was nothing to measure."""

    ok: int
    err: int
    err_status: int
    err_conn: int
    err_short: int
    chunks: int
    connections: int = field(name="conns")
    elapsed_s: float = field(name="elapsed")
    requests_per_s: float = field(name="rps")
    chunks_per_s: float = field(name="cps")
    p50_us: float = field(name="p50")
    p90_us: float = field(name="p90")
    p99_us: float = field(name="p99")
    max_us: float = field(name="max")
    ttft50_us: float = field(name="ttft50")
    ttft99_us: float = field(name="ttft99")
    transit50_us: float = field(name="chunk50")
    transit99_us: float = field(name="chunk99")
    lg_cpu_s: float = field(name="lg_cpu")

    @property
    def is_silent(self) -> bool:
        """Whether nothing good came back at all, not even part of a stream."""
        return self.ok == 0 and self.chunks == 0


def build_command(
    lg: Path, url: str, api_key: str, plan: LoadPlan, headers: Mapping[str, str] | None = None
) -> list[str]:
    """Return the argv that runs `plan` against `url`, with `headers` in each request."""
    argv = [str(lg), "-u", url, "-H", f"Authorization: Bearer {api_key}"]
    for name, value in (headers or {}).items():
        argv += ["-H", f"{name}: {value}"]
    argv += ["-c", str(plan.connections), "-t", f"{plan.measure_s:g}", "-w", f"{plan.warmup_s:g}"]
    if plan.streams:
        argv += ["-s", "-n", str(plan.chunks), "-d", str(plan.delay_ms)]
    if plan.ramp_ms:
        argv += ["-R", str(plan.ramp_ms)]
    if plan.prompt_bytes is not None:
        argv += ["-B", str(plan.prompt_bytes)]
    if plan.model is not None:
        argv += ["-m", plan.model]
    if plan.as_anthropic:
        argv.append("-a")
    return argv


def parse_result(output: bytes, command: Sequence[str] = ()) -> LoadResult:
    """Return what `lg` has printed, or raise LoadFailed."""
    try:
        return msgspec.json.decode(output, type=LoadResult)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        name = Path(command[0]).name if command else "lg"
        shown = output[:200].decode(errors="replace")
        raise LoadFailed(f"{name} printed no result: {error}; it printed {shown!r}") from error
