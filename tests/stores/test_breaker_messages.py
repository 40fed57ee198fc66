"""What comes from Redis is typed, or it is nothing."""

from typing import Any

import msgspec
import pytest

from proxy.domain.breaker import BreakerRules
from proxy.policy.breaker import Breaker, Bucket, Lease
from proxy.stores.breaker_messages import (
    CHANNEL,
    INDEX_KEY,
    ORDER_KEY,
    PREFIX,
    Entry,
    IndexPage,
    build_args,
    build_keys,
    encode,
    encode_rules,
    find_longest_ms,
    name_field,
    read_breaker,
    read_change,
    read_index,
    read_stand,
)

STAND = ["open", 12, 500, "failures", 5, 1, 0, 500]
ENTRY = ["a/b", "open", 12, 99, "failures", 5, 1]
CHANGE = ["a/b", "closed", "open", 12, 500, "failures", 5, 1]


def pack(value: object) -> bytes:
    """Return a value as Redis would."""
    return msgspec.msgpack.encode(value)


def change(values: list[Any], index: int, value: object) -> bytes:
    """Return values of which one is another."""
    return pack([*values[:index], value, *values[index + 1 :]])


def test_a_breaker_is_read_as_the_machine_it_was() -> None:
    """An array of its fields is a breaker, and back again."""
    breaker = Breaker(5, 4, "half_open", buckets=[Bucket(1, 2, 3, 4)], leases=[Lease("t", 9)])
    assert read_breaker(pack([77, breaker])) == (77, breaker)


def test_what_newer_processes_add_is_passed_over() -> None:
    """Fields behind those that are known do not disturb."""
    assert read_stand(pack([*STAND, "more", 7])).wait_ms == 500
    told = read_change(pack([*CHANGE, 7]))
    assert told is not None and told.id == "a/b"
    assert read_index([5, 1, 0, 2, 0, 0, pack([*ENTRY, 7])]).entries[0].until_ms == 99


@pytest.mark.parametrize(
    "reply",
    [
        None,
        7,
        [],
        b"",
        b"\xc1",
        pack(STAND[:-1]),
        pack("text"),
        change(STAND, 0, "ajar"),
        change(STAND, 1, -1),
        change(STAND, 1, 2**54),
        change(STAND, 2, 1.5),
        change(STAND, 2, "500"),
        change(STAND, 3, "because"),
        change(STAND, 4, None),
        change(STAND, 4, True),
    ],
)
def test_a_reply_of_another_shape_is_refused(reply: Any) -> None:
    """Wrong types, numbers out of range and unknown words are a ValueError, nothing else."""
    with pytest.raises(ValueError):
        read_stand(reply)
    with pytest.raises(ValueError):
        read_breaker(reply)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"\x98\xa1\x80",
        pack(7),
        pack(CHANGE[:5]),
        change(CHANGE, 0, "x" * 9000),
        change(CHANGE, 2, ""),
    ],
)
def test_a_message_that_cannot_be_read_is_none(message: bytes) -> None:
    """Whatever is published, it is a change or it is nothing."""
    assert read_change(message) is None


def test_entries_that_cannot_be_read_are_left_out() -> None:
    """One bad entry does not hide the good ones."""
    entry = Entry("a/b", "open", 12, 99, "failures", 5, 1)
    reply: list[Any] = [5, 1, 2, 3, 1, 50, b"junk", pack(ENTRY), 7, None, change(ENTRY, 1, 1)]
    assert read_index(reply) == IndexPage(5, 1, 2, 3, True, 50, [entry])


@pytest.mark.parametrize("reply", [None, 7, b"x", [], [5, 1, 0, 2, 0], [5, 1, 0, 2, 0, b"0", b""]])
def test_an_index_of_another_shape_is_refused(reply: Any) -> None:
    """It begins with its six numbers, or it is a ValueError."""
    with pytest.raises(ValueError, match="index"):
        read_index(reply)


def test_everything_is_in_one_slot_under_one_prefix() -> None:
    """Keys, index and channel carry the version and one hash tag; ids appear only hashed."""
    key, index, order = build_keys("secret model / with spaces")
    assert (index, order) == (INDEX_KEY, ORDER_KEY)
    assert key == PREFIX + name_field("secret model / with spaces")
    assert "secret" not in key and len(name_field("x")) == 32
    for name in (key, index, order, CHANNEL):
        assert name.startswith("llm-proxy:v1:{breakers}:")


def test_arguments_are_in_the_scripts_order() -> None:
    """Operation, id, field, channel, rules, what with, time."""
    rules = encode_rules(BreakerRules())
    assert msgspec.msgpack.decode(rules) == [5, 20, 50, 80, 30_000, 60_000, 300_000, 3]
    field = name_field("a/b")
    assert build_args("adopt", "a/b", rules, 7, "x", now="9") == (
        *("adopt", "a/b", field, CHANNEL, rules),
        *(encode([7, "x"]), "9"),
    )


def test_the_longest_wait_is_that_of_the_machine() -> None:
    """A hold's, or the rules' where these are longer."""
    assert find_longest_ms(BreakerRules()) == 330_000
    assert find_longest_ms(BreakerRules(open_ms=400_000)) == 400_000
    assert find_longest_ms(BreakerRules(open_max_ms=500_000)) == 500_000
