"""
Every client in front of every provider: what docs/providers.md says becomes of it.

The table is made by `matrix.py`; here each of its cells is asked for again.
"""

import pytest

from tests.providers.matrix import FEATURES, PROVIDERS, facing, find_outcome, read_cells
from tests.providers.matrix_dialects import CLIENTS

CELLS = [(client, provider) for client in CLIENTS for provider in PROVIDERS]


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize(("client", "provider"), CELLS)
async def test_the_page_says_what_happens(client: str, provider: str, feature: str) -> None:
    """A client gets from a provider of this type what the table says."""
    async with facing(client, provider) as asking:
        outcome = await find_outcome(asking, feature)
    assert read_cells()[client, provider, feature] == outcome


def test_the_table_has_no_other_cells() -> None:
    """Each client, provider and feature stands in the table once, and nothing else does."""
    wanted = {(client, provider, feature) for client, provider in CELLS for feature in FEATURES}
    assert set(read_cells()) == wanted
