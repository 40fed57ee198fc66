"""Scripts: known to Redis by the digest that Redis itself computes."""

from proxy.stores.redis_script import build_script, read_script
from tests.fakes.redis_server import RedisServer


def test_redis_knows_a_script_by_the_same_digest(redis_server: RedisServer) -> None:
    """SCRIPT LOAD answers with the digest that was built, also for text beyond ASCII."""
    script = build_script("a", "return 'Grüße'")
    assert redis_server.command("SCRIPT", "LOAD", script.source) == script.sha1.encode()


def test_a_script_is_read_from_the_file_of_its_name() -> None:
    """`<name>.lua` beside the stores is found, also where the package is installed."""
    script = read_script("breaker")
    assert script == build_script("breaker", script.source)
    assert "redis.call" in script.source


def test_what_a_script_needs_stands_in_front() -> None:
    """Of two files one script is made, with a digest of its own."""
    script, needed = read_script("breaker_index", "breaker_order"), read_script("breaker_order")
    assert script.source == needed.source + "\n" + read_script("breaker_index").source
    assert script == build_script("breaker_index", script.source)
