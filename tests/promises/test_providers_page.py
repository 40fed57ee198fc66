"""Promises of docs/providers.md: every type is there, with all that has to be said of it."""

import re

import pytest

from proxy.providers.registry import SIMULATOR, known_types
from tests.promises.markdown import read_first_cells
from tests.promises.tree import ROOT
from tests.providers.provider_table import read_table

PAGE = (ROOT / "docs" / "providers.md").read_text()
TYPES = [name for name in known_types() if name != SIMULATOR.type]
_SECTION = re.compile(r"^### [^\n]+ \(`(\w+)`\)\n(.*?)(?=^##|\Z)", re.DOTALL | re.MULTILINE)


def test_every_type_has_its_section_and_no_other_has() -> None:
    """Each type is described once."""
    assert sorted(name for name, _ in _SECTION.findall(PAGE)) == TYPES


@pytest.mark.parametrize("name", TYPES)
def test_what_works_what_is_dropped_and_what_is_unverified_is_said(name: str) -> None:
    """A row has what it can; a row or its section what is left out; its section what is unsure."""
    section = dict(_SECTION.findall(PAGE))[name]
    assert f"`{name}`" in set(read_first_cells(PAGE))
    # The table of types of OpenAI's format, which is made from the rows, has a column for it.
    assert f"| `{name}` |" in read_table() or "left out" in section.lower()
    assert "*Not verified" in section
