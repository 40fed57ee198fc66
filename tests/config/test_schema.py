"""What the top level of the configuration may say."""

import pytest
from pydantic import ValidationError

from proxy.config.schema import ConfigFile


def test_an_empty_configuration_is_all_defaults() -> None:
    """Every key of the top level has a default, and the server listens on loopback only."""
    config = ConfigFile.model_validate({})
    assert (config.host, config.port) == ("127.0.0.1", 8000)
    assert (config.request_timeout, config.max_body_bytes) == (300, 32 * 1024 * 1024)
    assert (config.clocks.connect_s, config.clocks.idle_s) == (3, 60)


def test_defaults_pass_their_own_checks() -> None:
    """The defaults, written out into a file, load to the same configuration."""
    defaults = ConfigFile.model_validate({})
    assert ConfigFile.model_validate(defaults.model_dump()) == defaults


def test_log_level_takes_any_case() -> None:
    """`log_level: info` is INFO."""
    assert ConfigFile.model_validate({"log_level": "info"}).log_level == "INFO"


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65536},
        {"port": "8000"},
        {"debug": "false"},
        {"workers": 0},
        {"listen": []},
        {"end_of_config": False},
        {"routes": [{"alias": "a", "targets": []}]},
        {"clocks": {"connect": 3}},
        {"log_level": "LOUD"},
    ],
)
def test_wrong_values_are_refused(wrong: dict[str, object]) -> None:
    """Values out of range or of another type are refused, and so are unknown keys."""
    with pytest.raises(ValidationError):
        ConfigFile.model_validate(wrong)


def test_printing_a_configuration_shows_no_secret() -> None:
    """Client keys and store addresses are not in the repr of a configuration."""
    plain = {"api_keys": ["canary"], "admin_keys": ["canary"], "database_url": "canary"}
    redis_url = "redis://:canary@127.0.0.1"
    assert "canary" not in repr(ConfigFile.model_validate({**plain, "redis_url": redis_url}))
