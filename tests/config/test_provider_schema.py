"""What an entry of `providers:` may say."""

import pytest
from pydantic import ValidationError

from proxy.config.provider_schema import ProviderEntry


def test_every_key_has_a_default_but_name_and_type() -> None:
    """A name and a type make a provider; its defaults are those of the source documents."""
    entry = ProviderEntry.model_validate({"name": "a", "type": "openai"})
    assert (entry.enabled, entry.priority, entry.weight) == (True, 1, 1)
    assert (entry.max_retries, entry.retry_delay) == (3, 1.0)
    assert entry.models == []


def test_both_names_of_the_idle_time_are_read() -> None:
    """`keepalive_timeout` and `keepalive_expiry` are both keys of a provider."""
    plain = {"name": "a", "type": "openai", "keepalive_timeout": 3, "keepalive_expiry": 3}
    assert ProviderEntry.model_validate(plain).keepalive_expiry == 3


@pytest.mark.parametrize("wrong", [{"models": [4]}, {"enabled": "yes"}, {"timeout": "30"}])
def test_types_are_strict(wrong: dict[str, object]) -> None:
    """A number is no model name, and a text is no number and no boolean."""
    with pytest.raises(ValidationError):
        ProviderEntry.model_validate({"name": "a", "type": "openai", **wrong})


def test_off_needs_no_quotes() -> None:
    """`probe: off`, which YAML reads as false, means the word; true means nothing."""
    plain = {"name": "a", "type": "openai"}
    assert ProviderEntry.model_validate({**plain, "probe": False}).probe == "off"
    assert ProviderEntry.model_validate({**plain, "probe": "off"}).probe == "off"
    with pytest.raises(ValidationError):
        ProviderEntry.model_validate({**plain, "probe": True})


def test_printing_an_entry_shows_no_secret() -> None:
    """The key and the headers of a provider are not in its repr."""
    plain = {"name": "a", "type": "openai", "api_key": "canary", "headers": {"X-A": "canary"}}
    assert "canary" not in repr(ProviderEntry.model_validate(plain))
