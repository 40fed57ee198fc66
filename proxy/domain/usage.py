"""What one answer consumed, in tokens."""

from typing import Literal

from msgspec import Struct

UsageSource = Literal["reported", "estimated"]


class Usage(Struct, frozen=True):
    """
    Token counts of one answer, normalised.

    `input_tokens` holds cached and cache-written tokens too, `output_tokens` holds
    reasoning tokens too, whatever the provider's own convention was.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    source: UsageSource = "reported"
    """Who counted: the provider, or we, from the bytes that were delivered."""

    @property
    def total_tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens
