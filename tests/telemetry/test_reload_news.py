"""What a change of the service's status says of its configuration."""

from typing import Any

import pytest

from proxy.domain.service import ConfigStatus
from proxy.telemetry.reload_news import describe_reload

GOOD = ConfigStatus(7, 1_700_000_000.0)
BAD = ConfigStatus(7, 1_700_000_000.0, "config.yaml:3:1: wrong", 1_700_000_100.0, 1)


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        (GOOD, GOOD, None),
        (BAD, BAD, None),
        (GOOD, ConfigStatus(8, 1_700_000_200.0), "applied"),
        (BAD, ConfigStatus(8, 1_700_000_200.0), "applied"),
        (GOOD, BAD, "refused"),
        (BAD, ConfigStatus(7, 1_700_000_000.0, BAD.last_error, 1_700_000_300.0, 1), "refused"),
        (BAD, GOOD, "mended"),
    ],
)
def test_what_has_become_of_an_edit(
    before: ConfigStatus, after: ConfigStatus, result: str | None
) -> None:
    """A new generation was applied, a new error refused; an error that is gone was mended."""
    news: Any = describe_reload(before, after)
    assert (None if news is None else news["result"]) == result


def test_a_refusal_says_why() -> None:
    """Who listens is an administrator, and reads the words of `llm-proxy check`."""
    assert describe_reload(GOOD, BAD) == {
        "result": "refused",
        "generation": 7,
        "loaded_at": 1_700_000_000.0,
        "last_error": "config.yaml:3:1: wrong",
        "needs_restart": (),
    }
