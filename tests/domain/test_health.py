"""What travels from the health worker to those who route."""

import msgspec

from proxy.domain.health import HealthNews, HealthVerdict


def test_news_of_another_version_is_understood() -> None:
    """Fields that are not known are passed over, and those that are missing have defaults."""
    verdict = {
        "provider": "p", "address": "https://p.example/v1", "state": "healthy", "reason": "200",
        "since_at": 1.0, "checked_at": 2.0, "lives_s": 3.0, "colour": "green",
    }  # fmt: skip
    news = msgspec.msgpack.encode({"fence": 1, "number": 2, "verdicts": [verdict], "mood": "good"})
    expected = HealthVerdict("p", "https://p.example/v1", "healthy", "200", 1.0, 2.0, 3.0)
    assert msgspec.msgpack.decode(news, type=HealthNews) == HealthNews(1, 2, (expected,))
