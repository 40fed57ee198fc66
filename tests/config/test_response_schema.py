"""What `response_store:` may say."""

import pytest
from pydantic import ValidationError

from proxy.config.response_schema import ResponseStoreEntry
from proxy.domain.settings import InstallSettings


def test_what_is_not_said_is_what_a_server_without_a_file_does() -> None:
    """An hour, in 64 MiB of each worker."""
    entry, usual = ResponseStoreEntry(), InstallSettings()
    assert (entry.ttl_s, entry.max_bytes) == (usual.response_ttl_s, usual.max_response_bytes)
    assert entry.ttl_s == 3600.0


@pytest.mark.parametrize("wrong", [{"ttl_s": 0}, {"ttl_s": 100_000}, {"max_bytes": 10}, {"ttl": 1}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    """Nothing is kept for no time, for ever, or in no room; other names are mistakes."""
    with pytest.raises(ValidationError):
        ResponseStoreEntry.model_validate(wrong)
