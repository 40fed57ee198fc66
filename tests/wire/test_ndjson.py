"""Lines of JSON are found however the bytes came, and written so that no reader cuts them."""

import json

import pytest

from proxy.wire.ndjson import LineSplitter, LineTooLarge, build_line, end_line
from tests.wire.splits import every_cut

BODY = b'  {"a":1}\r\n\n   \n{"b":"\xc3\xa9"}\n{"c":3}'


def test_lines_are_the_same_however_the_bytes_are_cut() -> None:
    """Blanks around lines and empty lines are left out; the last line may lack its end."""
    for pieces in every_cut(BODY):
        splitter = LineSplitter(64)
        lines = [line for piece in pieces for line in splitter.feed(piece)]
        assert lines + splitter.finish() == [b'{"a":1}', b'{"b":"\xc3\xa9"}', b'{"c":3}']


def test_a_line_above_the_cap_ends_it_and_those_before_it_are_not_lost() -> None:
    """The whole lines in front of the long one are in the exception, in whatever pieces it came."""
    splitter = LineSplitter(8)
    with pytest.raises(LineTooLarge) as raised:
        splitter.feed(b'{"a":1}\n{"b":"long"')
    assert raised.value.lines == [b'{"a":1}']
    splitter = LineSplitter(8)
    assert splitter.feed(b"12345678") == []
    with pytest.raises(LineTooLarge):
        splitter.feed(b"9")


def test_blanks_in_front_of_a_line_cost_nothing() -> None:
    """A server may send any number of them as a sign of life."""
    splitter = LineSplitter(4)
    for _ in range(100):
        assert splitter.feed(b"   ") == []
    assert splitter.feed(b"{}\n") == [b"{}"]


def test_what_some_take_for_a_line_end_is_escaped() -> None:
    """A line that is written has one line end by any reader's rule, and says the same."""
    text = "a\u2028b\u2029c\u0085d\né"
    line = build_line({"t": text})
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == {"t": text}
    assert end_line(b'{"a":1}') == b'{"a":1}\n'
