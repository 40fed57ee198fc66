"""Token counts of the Responses API."""

import pytest

from proxy.domain.usage import Usage
from proxy.wire.responses_usage import parse_responses_usage


def test_all_counts_are_read() -> None:
    """What came from a cache is a part of the input, what was thought one of the output."""
    raw = (
        b'{"input_tokens":9,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},'
        b'"output_tokens":5,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":14}'
    )
    assert parse_responses_usage(raw) == Usage(
        9, 5, cached_tokens=4, cache_write_tokens=2, reasoning_tokens=3
    )


@pytest.mark.parametrize("raw", [b"null", b"[]", b"{}", b'{"input_tokens":1}', b'{"input_tokens":'])
def test_what_is_no_bill_is_none(raw: bytes) -> None:
    """Without both totals nothing can be billed."""
    assert parse_responses_usage(raw) is None


def test_names_of_other_dialects_do_not_count() -> None:
    """The counts of a chat completion are none of a response."""
    assert parse_responses_usage(b'{"prompt_tokens":1,"completion_tokens":2}') is None
