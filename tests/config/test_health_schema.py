"""What `health_worker:` may say."""

import pytest
from pydantic import ValidationError

from proxy.config.health_schema import HealthWorkerEntry


def test_it_runs_and_has_an_api_on_this_machine_unless_told_otherwise() -> None:
    """Nobody else reaches that, and null is nowhere."""
    entry = HealthWorkerEntry()
    assert entry.enabled
    assert entry.listen == "127.0.0.1:8001"
    assert HealthWorkerEntry(listen=None).listen is None


def test_what_is_no_address_is_refused() -> None:
    """A port alone says nothing of who may reach it."""
    with pytest.raises(ValidationError):
        HealthWorkerEntry(listen="8001")
