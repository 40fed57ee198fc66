"""Reports that wait: good ones in a row are one, everything else keeps its place."""

from proxy.domain.breaker import BreakerResult
from proxy.stores.breaker_messages import ReportRun
from proxy.stores.report_queue import MOST_RUNS, ReportQueue


def run(result: BreakerResult, epoch: int = 0, token: str = "", count: int = 1) -> ReportRun:
    """Return a report without a hold."""
    return ReportRun(result, epoch, token, 0, "", count)


def test_good_attempts_in_a_row_are_one() -> None:
    """A hundred good attempts of one breaker and epoch are one run of a hundred."""
    queue = ReportQueue()
    for _ in range(100):
        queue.add("a", run("ok"))
    assert (len(queue), queue.is_due) == (1, False)
    assert queue.take() == {"a": [run("ok", count=100)]}
    assert (len(queue), queue.take()) == (0, {})


def test_what_differs_keeps_its_place() -> None:
    """Another epoch, a permit or another result begins a new run, and order stays."""
    queue = ReportQueue()
    runs = [
        run("ok"),
        run("ok", 7),
        run("fail", 7),
        run("fail", 7),
        run("ok", 7),
        run("ok", 7, "t"),
    ]
    for each in runs:
        queue.add("a", each)
    queue.add("a", run("ok", 7))
    queue.add("b", run("ok"))
    assert len(queue) == 8
    assert queue.take() == {"a": [*runs, run("ok", 7)], "b": [run("ok")]}


def test_only_good_attempts_can_wait() -> None:
    """Whatever may open or close a breaker is urgent, until it was taken."""
    results: tuple[BreakerResult, ...] = ("slow", "fail", "broke", "hold")
    for each in (*map(run, results), run("neutral", token="t"), run("ok", token="t")):
        queue = ReportQueue()
        queue.add("a", run("ok"))
        assert not queue.is_urgent
        queue.add("a", each)
        assert queue.is_urgent and queue.is_due
        queue.take()
        assert not queue.is_due


def test_many_cannot_wait_either() -> None:
    """With 32 runs it is due."""
    queue = ReportQueue()
    for number in range(MOST_RUNS):
        assert not queue.is_due
        queue.add(str(number), run("ok"))
    assert queue.is_due and not queue.is_urgent
