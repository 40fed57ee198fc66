"""Which breaker speaks for a provider."""

from proxy.telemetry.worst_breaker import rate_badness


def test_the_state_decides_and_then_the_failures() -> None:
    """What an operator has forced open is worst; one that is switched off is as good as closed."""
    rated = [
        rate_badness("closed", 0),
        rate_badness("closed", 4),
        rate_badness("half_open", 0),
        rate_badness("open", 1),
        rate_badness("forced_open", 0),
    ]
    assert rated == sorted(rated)
    assert rate_badness("disabled", 2) == rate_badness("closed", 2)
