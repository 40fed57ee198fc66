"""Replays tests/samples: what each type of OpenAI's format sends, and what a client gets of it."""

from pathlib import Path

import pytest

from proxy.providers.openai_compatible import KINDS
from tests.providers.samples import SAMPLES, read_file, receive, send

CASES = sorted(path.parent for path in SAMPLES.glob("*/*/request.json"))
NAMES = [f"{path.parent.name}/{path.name}" for path in CASES]


@pytest.mark.parametrize("piece_bytes", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_client_gets_what_the_sample_says(case: Path, piece_bytes: int) -> None:
    """However the provider's bytes were cut, the client gets the expected ones."""
    status, _, body = read_file(case, "expected.*")
    assert receive(case, piece_bytes) == (status, body)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_provider_gets_what_the_sample_says(case: Path) -> None:
    """The body that goes out is the expected one, byte by byte."""
    assert send(case) == (case / "sent.json").read_bytes()


def test_each_type_has_its_four_cases() -> None:
    """A text, a stream, a tool call and an error are recorded for every row of the table."""
    wanted = {f"{k.type}/{n}" for k in KINDS for n in ("text", "stream", "tool_call", "error")}
    assert set(NAMES) >= wanted
