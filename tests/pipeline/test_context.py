"""What an exchange writes down on its way."""

import time

from proxy.domain.catalog import Deployment
from proxy.domain.errors import UpstreamRejected, UpstreamTimeout
from proxy.domain.identity import KeyHasher
from proxy.pipeline.board import Place, Ticket
from proxy.pipeline.context import Attempt, Runtime, build_request_id
from proxy.policy.recent_successes import RecentSuccesses
from proxy.stores.memory import MemoryRateStore
from proxy.stores.memory_reasoning import MemoryReasoning
from proxy.stores.memory_responses import MemoryResponses
from proxy.telemetry.observer import ManyObservers
from tests.fakes.proxy_server import build_board, build_provider, build_snapshot

DEPLOYMENT = Deployment(build_provider("http://a.test/v1"), "m")


def test_request_ids_are_unique_sort_by_time_and_are_uuids() -> None:
    """Ids are `req_` and a UUIDv7 in hex: unique, and in order of the millisecond."""
    before_ms = time.time_ns() // 1_000_000
    ids = [build_request_id() for _ in range(1000)]
    after_ms = time.time_ns() // 1_000_000
    assert len(set(ids)) == len(ids)
    for request_id in ids:
        digits = request_id.removeprefix("req_")
        assert len(digits) == 32
        assert digits[12] == "7"
        assert digits[16] in "89ab"
        assert before_ms <= int(digits[:12], 16) <= after_ms


def test_an_attempt_measures_its_head_and_its_end() -> None:
    """An attempt's record holds its deployment, its outcome and both times in seconds."""
    attempt = Attempt(DEPLOYMENT, Place(DEPLOYMENT, RecentSuccesses()), Ticket())
    assert attempt.build_record("ok").first_byte_s is None
    attempt.note_head()
    record = attempt.build_record("ok")
    assert (record.provider, record.model, record.outcome) == ("up", "m", "ok")
    assert record.first_byte_s is not None
    assert 0.0 <= record.first_byte_s <= record.duration_s


def test_errors_of_the_tree_have_the_codes_that_clocks_give_them() -> None:
    """A timeout's code says which clock ran out; a refused request keeps the provider's code."""
    assert UpstreamTimeout(code="upstream_stalled").code == "upstream_stalled"
    assert UpstreamRejected(422, "no", code="bad_thing").status == 422


def test_a_store_that_is_given_is_the_one_that_is_used() -> None:
    """Also while there is nothing in it: else what processes share would be shared by none."""
    snapshot = build_snapshot(build_provider("http://a.test/v1"))
    reasoning, responses = MemoryReasoning(), MemoryResponses()
    runtime = Runtime(
        snapshot,
        KeyHasher(b"0" * 32),
        {},
        ManyObservers(),
        MemoryRateStore(),
        build_board(snapshot),
        reasoning,
        responses,
    )
    assert runtime.reasoning is reasoning
    assert runtime.responses is responses
