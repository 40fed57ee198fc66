"""What all tests of the stores go by."""

import pytest

from proxy.stores import redis_link


@pytest.fixture(autouse=True)
def _patient_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have posted jobs survive a machine that stands still for a moment: 0.25 s is promised."""
    monkeypatch.setattr(redis_link, "POST_WAIT_S", 5.0)
