"""docs/dialects.md promises: each kind of client gets its answer as the page shows it."""

import asyncio
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pytest

from proxy.config.load import load_config
from proxy.simulator.knobs import Knobs
from proxy.simulator.transport import SimulatorTransport
from tests.fakes.proxy_server import HASHER, serving
from tests.promises.markdown import read_blocks
from tests.promises.tree import ROOT

SHIPPED = "http://127.0.0.1:8000"
EXAMPLES = [
    block.text
    for block in read_blocks((ROOT / "docs" / "dialects.md").read_text(), "python")
    if SHIPPED in block.text
]


@pytest.mark.parametrize(
    "example", EXAMPLES, ids=["anthropic", "openai", "responses", "azure", "ollama"]
)
async def test_the_examples_get_an_answer(example: str) -> None:
    """With the shipped configuration the simulator says what it was told."""
    loaded = load_config(ROOT / "config.yaml", {}, HASHER, now_at=0.0)
    fast = SimulatorTransport(Knobs(tokens_per_s=0, first_token_ms=0))
    printed = StringIO()
    async with serving(loaded.snapshot, {"simulator": fast}) as server:
        program = example.replace(SHIPPED, f"http://127.0.0.1:{server.port}")
        names: dict[str, Any] = {}
        with redirect_stdout(printed):
            await asyncio.to_thread(exec, program, names)
        # The reader's program ends here; this one goes on, and would find the connection open.
        names["client"].close()
    assert printed.getvalue().strip() == "Hi"
