"""Tests of `proxy/providers/kind.py`."""

from typing import Any

import pytest

from proxy.domain.errors import NotOffered
from proxy.providers.kind import Kind


def test_a_row_that_says_nothing_is_openais_format() -> None:
    """What most providers are is the default: all operations, a key, usage on request."""
    kind = Kind(type="x", title="X", base_url=None)
    assert set(kind.operations) == {"chat", "completions", "embeddings"}
    assert kind.needs_key and kind.appends_v1 and not kind.is_local
    assert kind.usage_in_streams == "ask"
    assert not (kind.renames or kind.drops or kind.quirk or kind.maps_developer_role)


def test_rows_share_nothing_that_can_be_changed() -> None:
    """What they have in common is a table that nobody can write to, and no field is set anew."""
    row: Any = Kind(type="a", title="a", base_url=None)
    with pytest.raises(TypeError):
        row.operations["chat"] = "/other"
    with pytest.raises(AttributeError):
        row.title = "other"


def test_what_a_type_has_no_path_for_it_does_not_offer() -> None:
    """An operation has its path, or an error by which another candidate is tried."""
    kind = Kind("it", "It", "https://it.example", operations={"chat": "/chat"})
    assert kind.find_path("chat", "m") == "/chat"
    with pytest.raises(NotOffered, match=r"'m' \(It\) offers no embeddings") as caught:
        kind.find_path("embeddings", "m")
    assert (caught.value.param, caught.value.code) == ("model", "unsupported_operation")
