"""What a worker that starts late is told of providers."""

from proxy.domain.health import HealthNews, HealthVerdict
from proxy.supervisor.kept_verdicts import KeptVerdicts


class Clock:
    """A clock that stands until it is moved."""

    now_s = 100.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now_s


def build_verdict(provider: str, lives_s: float = 30.0) -> HealthVerdict:
    """Return a verdict on a provider."""
    address = f"https://{provider}.example"
    return HealthVerdict(provider, address, "healthy", "200", 1.0, 2.0, lives_s)


def test_nothing_is_told_before_a_health_worker_has_spoken() -> None:
    """Without any news there is nothing to gather."""
    assert KeptVerdicts().gather() is None


def test_what_was_told_in_pieces_is_told_whole() -> None:
    """Each provider's newest verdict comes under the newest number, for the time it has left."""
    clock = Clock()
    kept = KeptVerdicts(clock)
    kept.take(HealthNews(7, 1, (build_verdict("a"), build_verdict("b", 5.0)), lives_s=15.0))
    clock.now_s += 4.0
    kept.take(HealthNews(7, 2, (build_verdict("a", 20.0),), lives_s=15.0, answered=("x",)))
    clock.now_s += 0.5
    news = kept.gather()
    assert news is not None
    assert (news.fence, news.number, news.lives_s, news.answered) == (7, 2, 14.5, ())
    assert {v.provider: v.lives_s for v in news.verdicts} == {"a": 19.5, "b": 0.5}


def test_what_is_over_is_not_told() -> None:
    """A verdict whose time is over is gone, and a health worker that is silent counts as gone."""
    clock = Clock()
    kept = KeptVerdicts(clock)
    kept.take(HealthNews(7, 1, (build_verdict("a"),), lives_s=15.0))
    clock.now_s += 30.0
    news = kept.gather()
    assert news is not None
    assert (news.verdicts, news.lives_s) == ((), 0.0)


def test_of_providers_that_come_and_go_nothing_is_kept() -> None:
    """Verdicts whose time is over are dropped with the next news, also if nobody gathers them."""
    clock = Clock()
    kept = KeptVerdicts(clock)
    for number in range(1, 100):
        kept.take(HealthNews(7, number, (build_verdict(f"pod-{number}", 30.0),)))
        clock.now_s += 10.0
    assert len(kept) == 3


def test_what_was_cleared_is_not_told() -> None:
    """Verdicts from before a clearance are forgotten, and a new worker hears of none."""
    kept = KeptVerdicts()
    kept.take(HealthNews(7, 1, (build_verdict("a"),)))
    kept.take(HealthNews(7, 2, (build_verdict("b"),), is_cleared=True))
    news = kept.gather()
    assert news is not None
    assert [verdict.provider for verdict in news.verdicts] == ["b"]
    assert not news.is_cleared


def test_older_news_count_for_nothing() -> None:
    """What comes with a smaller fence or number than was heard before is passed over."""
    kept = KeptVerdicts()
    assert kept.take(HealthNews(7, 2))
    assert not kept.take(HealthNews(7, 2, (build_verdict("a"),)))
    assert not kept.take(HealthNews(6, 9, (build_verdict("a"),)))
    news = kept.gather()
    assert news is not None
    assert (news.fence, news.verdicts) == (7, ())
    assert kept.take(HealthNews(8, 1))
