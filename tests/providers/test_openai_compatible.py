"""Tests of `proxy/providers/openai_compatible.py`: the table of providers."""

import re

import pytest

from proxy.providers.kind import Kind
from proxy.providers.openai_compatible import KINDS
from proxy.providers.quirks import open_repair
from tests.providers.provider_table import PAGE, build_table, read_table

BY_TYPE = {kind.type: kind for kind in KINDS}


def test_each_type_stands_once_in_the_table() -> None:
    """No two rows have the same name or title."""
    assert len(BY_TYPE) == len({kind.title for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_a_row_fits_together(kind: Kind) -> None:
    """Addresses end without a slash, paths begin with one, repairs exist, keys have variables."""
    assert kind.base_url is None or re.fullmatch(r"https?://[\w.:-]+(/[\w/]+)?", kind.base_url)
    assert "chat" in kind.operations
    assert all(path.startswith("/") for path in (*kind.operations.values(), kind.health_path))
    assert all(re.fullmatch(r"[A-Z_]+_API_KEY", name) for name in kind.key_variables)
    assert kind.key_variables or not kind.needs_key
    assert not set(kind.renames.values()) & kind.drops
    open_repair(kind.quirk)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_hosted_providers_are_asked_over_tls_and_local_ones_on_loopback(kind: Kind) -> None:
    """A key never leaves in clear text, and a local server is on this machine."""
    if kind.is_local:
        assert kind.base_url is None or kind.base_url.startswith("http://127.0.0.1:")
        assert not kind.needs_key
    elif kind.base_url is not None:
        assert kind.base_url.startswith("https://")
        assert kind.needs_key


def test_openai_itself_is_passed_through() -> None:
    """Nothing is renamed, left out or repaired where both ends speak the same."""
    kind = BY_TYPE["openai"]
    assert not (kind.renames or kind.drops or kind.quirk)


def test_the_page_holds_the_table_of_the_rows() -> None:
    """docs/providers.md says what the code does; the way to renew it is in provider_table.py."""
    assert read_table() == build_table()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
def test_the_page_has_a_section_for_each_type(kind: Kind) -> None:
    """What is left out, repaired and not verified is told for every type."""
    assert f"\n### {kind.title} (`{kind.type}`)\n" in PAGE.read_text()
