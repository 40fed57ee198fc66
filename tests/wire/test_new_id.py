"""Ids that we make up."""

import re

from proxy.wire.new_id import build_id, keep_short


def test_each_is_new_and_of_one_form() -> None:
    """Thousands of ids all differ: a prefix, and letters and digits that all vendors take."""
    ids = {build_id("call_") for _ in range(5000)}
    assert len(ids) == 5000
    assert all(re.fullmatch(r"call_[A-Za-z0-9]{24}", each) for each in ids)


def test_what_a_provider_says_is_not_repeated_at_any_length() -> None:
    """Ids and names of models are short; what is not is as good as not said."""
    assert keep_short("msg_1") == "msg_1"
    assert keep_short("x" * 512) == "x" * 512
    assert keep_short("x" * 513) is None
    assert keep_short(None) is None
