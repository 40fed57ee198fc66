"""What is kept of a model's thoughts."""

from msgspec import Raw

from proxy.domain.chat import Thought
from proxy.domain.reasoning import KeptReasoning


def test_everything_that_is_kept_counts() -> None:
    """Texts, signatures, what the maker has said besides, and the ids of the calls."""
    empty = KeptReasoning("openai").size_bytes
    thought = Thought("t" * 100, "openai", "s" * 50, extra=Raw(b"{}"))
    kept = KeptReasoning("openai", (thought,), {"a": "x" * 30}, ("a", "b"))
    assert kept.size_bytes - empty == 100 + 50 + 2 + 30 + 2 * (50 + 1)


def test_text_beyond_ascii_counts_as_what_it_takes() -> None:
    """Four bytes for each character, as one of them can make it so for all."""
    plain = KeptReasoning("openai", (Thought("t" * 100, "openai"),)).size_bytes
    odd = KeptReasoning("openai", (Thought("t" * 99 + "\N{THINKING FACE}", "openai"),)).size_bytes
    assert odd - plain == 300
