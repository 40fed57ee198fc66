"""How breakers are named, and what one says of which nothing is known."""

from proxy.domain.breaker import CLOSED, BreakerRules, name_host_breaker, name_key_breaker


def test_hosts_and_keys_have_names_that_no_deployment_has() -> None:
    """The breaker of a host or key begins with a word and a colon; ids of deployments do not."""
    assert name_host_breaker("openai") == "host:openai"
    assert name_key_breaker("openai") == "key:openai"


def test_what_is_unknown_is_closed() -> None:
    """Of a breaker that was never heard of nothing stands in the way."""
    assert (CLOSED.state, CLOSED.epoch, CLOSED.failures) == ("closed", 0, 0)


def test_the_rules_are_the_promised_ones() -> None:
    """Five failures in a row or half of twenty calls open it, for a minute at first."""
    rules = BreakerRules()
    assert (rules.consecutive, rules.min_calls, rules.failure_percent) == (5, 20, 50)
    assert (rules.open_ms, rules.open_max_ms, rules.permits) == (60_000, 300_000, 3)
