"""Events as they travel between processes."""

import msgspec

from proxy.domain.event import Event


def test_an_event_comes_through_msgpack_unchanged() -> None:
    """What one process writes another reads, its data byte for byte."""
    event = Event("breaker", 1_700_000_000.25, b'{"id":"a/b"}')
    sent = msgspec.msgpack.encode(event)
    assert msgspec.msgpack.decode(sent, type=Event) == event
