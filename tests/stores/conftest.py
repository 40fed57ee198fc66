"""What all tests of the stores go by."""

import pytest

from proxy.stores import redis_link


@pytest.fixture(autouse=True)
def _patient_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Have posted jobs survive a machine that stands still for a moment.

    What is promised is tested in `test_redis_link.py`, with a clock of its own.
    """
    monkeypatch.setattr(redis_link, "POST_WAIT_S", 5.0)
