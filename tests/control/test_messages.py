"""Messages survive the way, and versions that know more or less understand each other."""

import msgspec
import pytest

from proxy.control import messages
from proxy.control.messages import (
    Ack,
    Ask,
    BreakerOrder,
    ClientMessage,
    Happened,
    Ping,
    Publish,
    ServerMessage,
    Start,
)
from proxy.domain.event import Event
from proxy.domain.settings import InstallSettings

SAMPLES = [
    Start(3, InstallSettings(listen=(("::1", 8000), ("127.0.0.1", 4000))), b"\x00\xff"),
    Publish(7, (b"head", b"\x80")),
    Ping(1),
    BreakerOrder("a/org/model", "open"),
    Happened((Event("breaker", 1.5, b"{}"),)),
]


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message: ServerMessage) -> None:
    """What is decoded equals what was encoded, bytes and tuples as well."""
    data = msgspec.msgpack.encode(message)
    assert msgspec.msgpack.decode(data, type=ServerMessage) == message


def test_a_field_of_a_later_version_is_passed_over() -> None:
    """A worker of this version understands a message that has more in it."""
    data = msgspec.msgpack.encode({"type": "ack", "generation": 4, "since": 1.5})
    assert msgspec.msgpack.decode(data, type=ClientMessage) == Ack(4)


def test_a_field_that_is_missing_has_its_default() -> None:
    """An ask of an older version, which said less, is understood."""
    data = msgspec.msgpack.encode({"type": "ask", "id": 1, "what": "reload"})
    assert msgspec.msgpack.decode(data, type=ClientMessage) == Ask(1, "reload")


def test_every_message_has_a_name_of_its_own() -> None:
    """No two kinds of messages travel under the same tag."""
    kinds = [
        kind
        for kind in vars(messages).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    ]
    tags = [kind.__struct_config__.tag for kind in kinds if kind.__module__ == messages.__name__]
    assert len(set(tags)) == len(tags) == 17
