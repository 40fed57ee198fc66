"""What is accepted but has no effect yet."""

from proxy.config.not_in_force import list_not_in_force
from tests.config.loading import tree_of


def test_what_is_set_and_not_built_is_listed_in_the_order_of_the_file() -> None:
    """Settings of features to come are listed by their path, a whole section by its name."""
    tree = tree_of("""
rate_limit_rpm: 5
port: 1
admin_keys: [a, b]
condensation: {cache_ttl: 1, max_tokens_default: 5}
database_url: "sqlite://"
""")
    assert list_not_in_force(tree) == ("condensation", "database_url")


def test_what_asks_for_nothing_new_is_not_listed() -> None:
    """Values that are in force as they are, or that switch a feature off, are not listed."""
    tree = tree_of("""
workers: 2
listen: ["127.0.0.1:1", "127.0.0.1:2"]
database_url: null
redis_url: "redis://127.0.0.1"
web_ui: false
admin_keys: []
circuit_breaker_threshold: 3
providers:
  - {name: p, type: openai, max_retries: 1, model_info: {m: {max_input_tokens: 5}}}
routes:
  - {alias: r, strategy: weighted, fallbacks: [a, b], stream_failure: buffered, targets: []}
""")
    assert list_not_in_force(tree) == ()
