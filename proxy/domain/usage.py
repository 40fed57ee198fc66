"""What one answer consumed, in tokens."""

from msgspec import Struct


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

    @property
    def total_tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens
