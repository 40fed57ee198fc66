"""Pictures of a run, as SVG text: one dot for each system on a scale, the best one on top."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from msgspec import Struct

from bench.budgets import find_figure
from bench.results import Results, SystemInfo
from bench.summary import Spread, summarize

SUBJECT = "proxy"
LEFT_OUT = ("direct",)
"""No system: its CPU and memory are the mock's own."""
LOG_FROM = 10.0
"""Where the largest is so many times the smallest, equal steps on the scale are equal factors."""

WIDTH, LEFT, RIGHT, TOP, STEP, BOTTOM = 760, 130, 100, 64, 26, 40
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.ground { fill: #ffffff; stroke: #d1d9e0 }
.title { font-size: 15px; font-weight: 600 }
.note, .tick { fill: #59636e; font-size: 11px }
.grid { stroke: #d1d9e0 }
.mark { fill: #59636e; stroke: #59636e }
.subject { fill: #0969da; stroke: #0969da }
text.subject { font-weight: 600; stroke: none }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .ground { fill: #0d1117; stroke: #3d444d }
  .note, .tick { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .mark { fill: #9198a1; stroke: #9198a1 }
  .subject { fill: #4493f8; stroke: #4493f8 }
}"""
"""On a ground of its own, so that it can be read on any page."""


class Plot(Struct, frozen=True):
    """One picture: the name of its file, the figure that it shows and what one should know."""

    name: str
    figure: str
    remark: str = ""


PLOTS = (
    Plot("requests.svg", "requests_per_s"),
    Plot("cpu-per-request.svg", "cpu_us_per_request"),
    Plot("time-to-first-token.svg", "ttft_ms"),
    Plot("chunks.svg", "chunks_per_s"),
    Plot("memory.svg", "rss_tree_mb", "with supervisors; shared pages count for each process"),
)


class Scale(Struct, frozen=True):
    """Where on the picture a value stands; `ticks` are the values that the scale names."""

    low: float
    high: float
    is_log: bool
    ticks: tuple[float, ...]

    def find_x(self, value: float) -> float:
        """Return the place of a value, in the picture's units."""
        width = WIDTH - LEFT - RIGHT
        if self.is_log:
            return LEFT + width * math.log(value / self.low) / math.log(self.high / self.low)
        return LEFT + width * (value - self.low) / (self.high - self.low)


def draw_plots(results: Results) -> dict[str, str]:
    """Return file name -> SVG of every picture for which there is something to show."""
    summary = summarize(results.slots)
    pictures = {}
    for plot in PLOTS:
        found = {
            _build_label(info): spread
            for info in results.systems
            if info.name not in LEFT_OUT
            and (spread := summary.get(info.name, {}).get(plot.figure)) is not None
            and (spread.low > 0 or not spread.is_result)
        }
        if any(spread.is_result for spread in found.values()):
            pictures[plot.name] = draw(plot, found)
    return pictures


def _build_label(info: SystemInfo) -> str:
    return info.name if info.core_count == 1 else f"{info.name}, {info.core_count} cores"


def draw(plot: Plot, spreads: Mapping[str, Spread]) -> str:
    """Return the SVG of one picture, with words for what is no result; results are above 0."""
    figure = find_figure(plot.figure)
    results = {name: each for name, each in spreads.items() if each.is_result}
    scale = choose_scale([value for each in results.values() for value in (each.low, each.high)])
    best_first = sorted(
        results, key=lambda name: results[name].median, reverse=figure.better == "more"
    )
    in_order = [*best_first, *(name for name in spreads if name not in results)]
    height = TOP + STEP * len(in_order) + BOTTOM
    title = escape(f"{figure.title}, {figure.unit}")
    better = "more is better" if figure.better == "more" else "less is better"
    notes = [better, "median and range of the rounds"]
    notes += ["logarithmic scale"] * scale.is_log + [plot.remark] * bool(plot.remark)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{title}</title>",
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        f'<text class="title" x="16" y="28">{title}</text>',
        f'<text class="note" x="16" y="46">{escape("; ".join(notes))}</text>',
    ]
    bottom = height - BOTTOM
    for tick in scale.ticks:
        x = f"{scale.find_x(tick):.1f}"
        parts += [
            f'<line class="grid" x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}"/>',
            f'<text class="tick" x="{x}" y="{bottom + 18}" text-anchor="middle">{tick:,g}</text>',
        ]
    for number, system in enumerate(in_order):
        spread, y = spreads[system], TOP + STEP * number + STEP // 2
        kind = "subject" if system == SUBJECT else "mark"
        words = ' class="subject"' if system == SUBJECT else ""
        parts.append(
            f'<text{words} x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(system)}</text>'
        )
        if not spread.is_result:
            reason = f"{spread.errors:,} bad answers" if spread.errors else "no good answer"
            parts.append(f'<text{words} x="{LEFT + 10}" y="{y + 4}">no result: {reason}</text>')
            continue
        low, middle, high = (
            f"{scale.find_x(value):.1f}" for value in (spread.low, spread.median, spread.high)
        )
        value_x = f"{scale.find_x(spread.high) + 10:.1f}"
        parts += [
            f'<line class="{kind}" x1="{low}" y1="{y}" x2="{high}" y2="{y}" stroke-width="3"/>',
            f'<circle class="{kind}" cx="{middle}" cy="{y}" r="5"/>',
            f'<text{words} x="{value_x}" y="{y + 4}">{figure.format(spread.median)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def choose_scale(values: Sequence[float]) -> Scale:
    """Return a scale for these values, which are above 0: even steps from 0 on, or even factors."""
    smallest, largest = min(values), max(values)
    if largest / smallest < LOG_FROM:
        step = 10.0 ** math.floor(math.log10(largest))
        step = next(step * part for part in (0.2, 0.5, 1.0, 2.0) if largest / (step * part) <= 6)
        steps = math.ceil(largest / step)
        ticks = tuple(round(step * number, 9) for number in range(steps + 1))
        return Scale(0.0, ticks[-1], False, ticks)
    first, last = math.floor(math.log10(smallest)), math.ceil(math.log10(largest))
    ticks = tuple(10.0**power for power in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], True, ticks)
