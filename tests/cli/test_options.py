"""Options become variables, which go before the environment."""

import pytest

from proxy.cli.options import set_variables


def test_options_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given replaces a variable of its name, what is not leaves it as it is."""
    monkeypatch.setenv("PROXY_API_PORT", "1")
    monkeypatch.setenv("PROXY_API_HOST", "a")
    variables = set_variables(port=2, host=None)
    assert (variables["PROXY_API_PORT"], variables["PROXY_API_HOST"]) == ("2", "a")
