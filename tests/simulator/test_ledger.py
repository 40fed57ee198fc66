"""The ledger is bounded, waits, and shows no key."""

import asyncio
import json

from proxy.simulator.ledger import Ledger


async def test_entries_are_bounded() -> None:
    """Beyond its capacity the oldest entries go; numbers go on."""
    ledger = Ledger(capacity=2)
    for path in ("/a", "/b", "/c"):
        ledger.begin("POST", path, [])
    assert [(entry.id, entry.path) for entry in ledger.entries()] == [(2, "/b"), (3, "/c")]


async def test_keys_are_masked() -> None:
    """Headers that carry keys show a hash, the same for the same key; others their value."""
    ledger = Ledger()
    entry = ledger.begin(
        "POST",
        "/",
        [("Authorization", "Bearer k-1"), ("X-API-Key", "k-1"), ("Accept", "text/html")],
    )
    (_, bearer), (_, key), (_, accept) = entry.headers
    assert bearer == f"Bearer {key}"
    assert key.startswith("sha256:")
    assert len(key) == 19
    assert accept == "text/html"
    assert b"k-1" not in ledger.encode()


async def test_the_first_ending_counts() -> None:
    """A request ends once; later endings change nothing."""
    ledger = Ledger()
    entry = ledger.begin("POST", "/", [])
    assert (entry.outcome, entry.ended_at) == ("open", None)
    ledger.end(entry, "completed")
    ended_at = entry.ended_at
    ledger.end(entry, "client_closed")
    assert (entry.outcome, entry.ended_at) == ("completed", ended_at)


async def test_readers_wait_for_endings() -> None:
    """A reader wakes when enough requests have ended, and gives up when its time is over."""
    ledger = Ledger()
    entries = [ledger.begin("POST", "/", []) for _ in range(2)]
    waiting = asyncio.create_task(ledger.wait_ended(2, 5))
    for entry in entries:
        await asyncio.sleep(0)
        assert not waiting.done()
        ledger.end(entry, "completed")
    assert await waiting
    assert not await ledger.wait_ended(3, 0.001)


async def test_it_is_json_and_can_be_cleared() -> None:
    """The ledger is written as `{"entries": [...]}` and forgets on demand."""
    ledger = Ledger()
    ledger.begin("GET", "/v1/models", [])
    (entry,) = json.loads(ledger.encode())["entries"]
    assert (entry["method"], entry["outcome"], entry["ended_at"]) == ("GET", "open", None)
    ledger.clear()
    assert json.loads(ledger.encode()) == {"entries": []}
