"""Tests of the pictures: their scales, what they show and that the shipped ones are current."""

from collections.abc import Mapping
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from bench.budgets import find_figure
from bench.plots import PLOTS, Plot, choose_scale, draw, draw_plots
from bench.report import RESULTS_FOLDER, read_results
from bench.results import RowResult, SlotResult
from bench.summary import Spread, build_spread
from tests.bench.samples import build_busy_slot, build_load, build_results

SVG = "{http://www.w3.org/2000/svg}"
REQUESTS, CPU = Plot("requests.svg", "requests_per_s"), Plot("cpu.svg", "cpu_us_per_request")


def build_spreads(**medians: float) -> dict[str, Spread]:
    """Return spreads of one round, by system."""
    return {name: build_spread([value]) for name, value in medians.items()}


def read_dots(text: str) -> dict[str, float]:
    """Return system -> place of its dot, from top to bottom; systems without one come last."""
    root = ElementTree.fromstring(text)
    names = read_names(text)[: len(list(root.iter(f"{SVG}circle")))]
    places = [float(str(each.get("cx"))) for each in root.iter(f"{SVG}circle")]
    return dict(zip(names, places, strict=True))


def read_names(text: str) -> list[str]:
    """Return the systems of a picture, from top to bottom."""
    texts = ElementTree.fromstring(text).iter(f"{SVG}text")
    return [str(each.text) for each in texts if each.get("text-anchor") == "end"]


def draw_of(plot: Plot, spreads: Mapping[str, Spread]) -> dict[str, float]:
    """Return the dots of a picture."""
    return read_dots(draw(plot, spreads))


def test_every_picture_is_of_a_figure() -> None:
    """Each shows a known figure, in a file of its own."""
    assert len({plot.name for plot in PLOTS}) == len(PLOTS)
    for plot in PLOTS:
        assert find_figure(plot.figure).name == plot.figure


def test_the_best_system_is_on_top() -> None:
    """Most requests first, and least CPU first."""
    medians = build_spreads(bare=60.0, proxy=100.0, other=80.0)
    assert list(draw_of(REQUESTS, medians)) == ["proxy", "other", "bare"]
    assert list(draw_of(CPU, medians)) == ["bare", "other", "proxy"]


def test_even_steps_begin_at_nothing() -> None:
    """Among values of one size, twice as much stands twice as far from 0."""
    scale = choose_scale([30.0, 60.0])
    zero = scale.find_x(0.0)
    assert not scale.is_log
    assert scale.find_x(60.0) - zero == pytest.approx(2 * (scale.find_x(30.0) - zero))
    assert scale.ticks == (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0)


def test_values_of_many_sizes_stand_on_even_factors() -> None:
    """From ten times on, equal factors are equal steps, and the picture says so."""
    scale = choose_scale([13.0, 8_000.0])
    assert scale.is_log
    assert scale.ticks == (10.0, 100.0, 1_000.0, 10_000.0)
    step = scale.find_x(1_000.0) - scale.find_x(100.0)
    assert scale.find_x(100.0) - scale.find_x(10.0) == pytest.approx(step)
    assert "logarithmic scale" in draw(CPU, build_spreads(nginx=13.0, other=8_000.0))


@pytest.mark.parametrize("values", [[7.0], [0.2, 0.9], [100.0], [1.0, 1_000.0], [0.15, 28.0]])
def test_nothing_stands_outside_the_scale(values: list[float]) -> None:
    """The smallest and the largest value are within its ends."""
    scale = choose_scale(values)
    assert scale.low <= min(values)
    assert max(values) <= scale.high
    assert {scale.low, scale.high} <= set(scale.ticks)


def test_a_picture_shows_median_and_range() -> None:
    """The dot is at the median, the line goes from the lowest round to the highest."""
    root = ElementTree.fromstring(draw(REQUESTS, {"proxy": build_spread([50.0, 60.0, 40.0])}))
    (dot,) = root.iter(f"{SVG}circle")
    (line,) = (each for each in root.iter(f"{SVG}line") if each.get("class") == "subject")
    scale = choose_scale([40.0, 60.0])
    places = [float(str(each)) for each in (line.get("x1"), dot.get("cx"), line.get("x2"))]
    assert places == pytest.approx([scale.find_x(value) for value in (40, 50, 60)], abs=0.1)
    assert "50" in [each.text for each in root.iter(f"{SVG}text")]


def test_a_picture_tells_its_title_and_can_be_read_in_the_dark() -> None:
    """It names its figure for those who do not see it, and has colours for both schemes."""
    text = draw(REQUESTS, build_spreads(proxy=50.0))
    title = ElementTree.fromstring(text).find(f"{SVG}title")
    assert title is not None
    assert title.text == "requests, JSON, 64 clients, 1/s"
    assert "prefers-color-scheme: dark" in text


def test_what_was_not_measured_has_no_picture() -> None:
    """A figure without results gives no file; the mock alone and silence are no results."""
    direct = build_busy_slot("direct", 1, 90_000, 3.0)
    silent = build_busy_slot("proxy", 1, 0, 70.0)
    assert draw_plots(build_results(direct, silent)) == {}
    pictures = draw_plots(build_results(direct, build_busy_slot("proxy", 1, 6_500, 70.0)))
    assert {name: list(read_dots(text)) for name, text in pictures.items()} == {
        "requests.svg": ["proxy"],
        "cpu-per-request.svg": ["proxy"],
    }


def test_what_is_no_result_has_words_and_no_dot() -> None:
    """A system with errors, or a silent one, is named below the others, and neither moves them."""
    bare = build_busy_slot("bare", 1, 7_900, 126.0)
    bad = build_busy_slot("proxy", 1, 90_000, 1.0, err=99_999)
    silent = build_busy_slot("other", 1, 0, 9.0)
    text = draw_plots(build_results(bad, silent, bare))["requests.svg"]
    assert read_names(text) == ["bare", "proxy", "other"]
    alone = draw_plots(build_results(bare))["requests.svg"]
    assert read_dots(text) == read_dots(alone)
    words = [str(each.text) for each in ElementTree.fromstring(text).iter(f"{SVG}text")]
    assert "no result: 99,999 bad answers" in words
    assert "no result: no good answer" in words


def test_memory_is_drawn_of_all_processes() -> None:
    """A supervisor is in the dot, and the picture says so in its title and below it."""
    figures = {"rss_busy_mb": 70.0, "rss_tree_mb": 128.0}
    row = RowResult("wide", figures, build_load(chunks=90_000))
    text = draw_plots(build_results(SlotResult("proxy", 1, rows=(row,))))["memory.svg"]
    words = [str(each.text) for each in ElementTree.fromstring(text).iter(f"{SVG}text")]
    assert "RSS peak with 1000 streams, all processes, MB" in words
    assert any("with supervisors" in each for each in words)
    assert "128.0" in words


def test_who_had_two_cores_is_marked() -> None:
    """A system on several cores has their number behind its name."""
    results = build_results(build_busy_slot("proxy-2", 1, 9_000, 70.0))
    (info,) = results.systems
    text = draw_plots(replace(results, systems=(replace(info, core_count=2),)))["requests.svg"]
    assert list(read_dots(text)) == ["proxy-2, 2 cores"]


def test_the_shipped_pictures_show_the_shipped_figures() -> None:
    """Each picture beside latest.json is what would be drawn of it; `--redraw` mends it."""
    drawn = draw_plots(read_results())
    shipped = {path.name: path.read_text() for path in RESULTS_FOLDER.glob("*.svg")}
    assert drawn == shipped
