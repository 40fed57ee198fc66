"""Ids that we make up."""

import re

from proxy.wire.new_id import build_id


def test_each_is_new_and_of_one_form() -> None:
    """Thousands of ids all differ: a prefix, and letters and digits that all vendors take."""
    ids = {build_id("call_") for _ in range(5000)}
    assert len(ids) == 5000
    assert all(re.fullmatch(r"call_[A-Za-z0-9]{24}", each) for each in ids)
