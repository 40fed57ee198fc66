"""Events for everybody who listens: in order, with a memory, and never waited for."""

import asyncio

import msgspec

from proxy.domain.event import Event
from proxy.telemetry.event_hub import (
    KEPT,
    MAX_SUBSCRIBERS,
    MAX_WAITING,
    EventHub,
    Numbered,
    Subscription,
)


class Clock:
    """Epoch seconds that a test sets."""

    def __init__(self) -> None:
        self.now_at = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_at


def subscribe(hub: EventHub, last_id: str | None = None) -> Subscription:
    """Subscribe where there is room."""
    subscription = hub.subscribe(last_id)
    assert subscription is not None
    return subscription


async def read(subscription: Subscription) -> Numbered:
    """Return the next event, which is not long in coming."""
    async with asyncio.timeout(5):
        numbered = await subscription.read()
    assert numbered is not None
    return numbered


async def read_numbers(subscription: Subscription, count: int) -> list[int]:
    """Return the field `n` of the next events."""
    return [msgspec.json.decode((await read(subscription)).event.data)["n"] for _ in range(count)]


async def test_everybody_gets_each_event_in_order() -> None:
    """Two subscribers get the same events under the same ids, with the time in their data."""
    hub = EventHub(Clock())
    first, second = subscribe(hub), subscribe(hub)
    for n in range(3):
        hub.publish("reload", {"n": n})
    got = [await read(first) for _ in range(3)]
    assert [await read(second) for _ in range(3)] == got
    assert [msgspec.json.decode(each.event.data) for each in got] == [
        {"timestamp": 1_700_000_000.0, "n": n} for n in range(3)
    ]
    assert len({each.id for each in got}) == 3


async def test_who_waits_is_woken() -> None:
    """A subscriber that waits already gets the event which comes then."""
    hub = EventHub()
    waiting = asyncio.create_task(read(subscribe(hub)))
    await asyncio.sleep(0)
    hub.publish("reload", {"n": 1})
    assert (await waiting).event.name == "reload"


async def test_who_comes_back_goes_on_from_where_it_was() -> None:
    """With the id of its last event a subscriber gets those that came after it."""
    hub = EventHub(Clock())
    early = subscribe(hub)
    for n in range(5):
        hub.publish("reload", {"n": n})
    last = [await read(early) for _ in range(2)][-1]
    assert await read_numbers(subscribe(hub, last.id), 3) == [2, 3, 4]


async def test_an_id_of_another_process_goes_by_its_time() -> None:
    """Events from a second before that time on are told: rather twice than never."""
    clock = Clock()
    hub = EventHub(clock)
    for n in range(6):
        clock.now_at += 1.0
        hub.publish("reload", {"n": n})
    assert await read_numbers(subscribe(hub, "1700000005000-977"), 3) == [3, 4, 5]


async def test_what_is_no_id_is_passed_over() -> None:
    """Whatever a client sends as its last id, it gets what comes from now on."""
    hub = EventHub()
    hub.publish("reload", {"n": 0})
    for text in ("", "x", "²-1", "-1", "9" * 500):
        subscription = subscribe(hub, text)
        hub.publish("reload", {"n": 1})
        assert await read_numbers(subscription, 1) == [1]
        hub.unsubscribe(subscription)


async def test_only_the_newest_are_kept() -> None:
    """A subscriber that was away for long gets the newest 256."""
    hub = EventHub(Clock())
    for n in range(KEPT + 10):
        hub.publish("reload", {"n": n})
    numbers = await read_numbers(subscribe(hub, "1-1"), KEPT)
    assert numbers == list(range(10, KEPT + 10))


async def test_ids_grow_when_the_clock_goes_back() -> None:
    """A clock that was set back does not make later events look older."""
    clock = Clock()
    hub = EventHub(clock)
    subscription = subscribe(hub)
    hub.publish("reload", {"n": 0})
    clock.now_at -= 3600.0
    hub.publish("reload", {"n": 1})
    first, second = [(await read(subscription)).id for _ in range(2)]
    assert (first, second) == ("1700000000000-1", "1700000000000-2")


async def test_who_reads_too_slowly_is_let_go_of() -> None:
    """What waits for it is dropped; its last event says so, and leaves its last id as it was."""
    hub = EventHub()
    slow, quick = subscribe(hub), subscribe(hub)
    for n in range(MAX_WAITING + 1):
        hub.publish("reload", {"n": n})
        await read(quick)
    last = await read(slow)
    assert (last.id, last.event.name) == ("", "end")
    assert msgspec.json.decode(last.event.data)["reason"] == "too_slow"
    assert await slow.read() is None
    assert hub.subscribers == 1


async def test_there_are_only_so_many_subscribers() -> None:
    """The 33rd is refused, until another leaves."""
    hub = EventHub()
    subscriptions = [subscribe(hub) for _ in range(MAX_SUBSCRIBERS)]
    assert hub.subscribe() is None
    hub.unsubscribe(subscriptions[0])
    hub.unsubscribe(subscriptions[0])
    assert hub.subscribe() is not None


async def test_at_the_end_all_are_told() -> None:
    """Who listens gets what waits and then the end, who comes later the end at once."""
    hub = EventHub()
    early = subscribe(hub)
    hub.publish("reload", {"n": 0})
    hub.end()
    hub.publish("reload", {"n": 1})
    assert [(await read(early)).event.name for _ in range(2)] == ["reload", "end"]
    assert await early.read() is None
    late = subscribe(hub)
    assert (await read(late)).event.name == "end"
    assert await late.read() is None
    assert (hub.is_ended, hub.subscribers) == (True, 0)


async def test_own_events_are_told_to_others_and_others_are_not_told_back() -> None:
    """Only what is published with `tell` goes out; what was taken from others stays here."""
    hub = EventHub()
    told: list[Event] = []
    hub.on_own = told.append
    hub.publish("breaker", {"n": 0}, tell=True)
    hub.publish("reload", {"n": 1})
    hub.take(Event("breaker", 1.0, b"{}"))
    assert [msgspec.json.decode(each.data)["n"] for each in told] == [0]
