"""Which keys are let in, and which are refused as too weak."""

from pathlib import Path

import pytest

from proxy.config.build_callers import is_loopback
from tests.config.loading import GOOD_KEY, HASHER, load_text, problems_of, warnings_of

SIM = "providers:\n  - {name: sim, type: simulator, models: [sim-echo]}\n"


def test_keys_become_callers(tmp_path: Path) -> None:
    """A key is found by its digest; a key in both lists is an admin's."""
    text = f"api_keys: [{GOOD_KEY}, {GOOD_KEY}2]\nadmin_keys: [{GOOD_KEY}2, {GOOD_KEY}3]\n{SIM}"
    loaded = load_text(tmp_path, text, {"LITELLM_MASTER_KEY": f"{GOOD_KEY}4"})
    callers = loaded.snapshot.callers
    roles = {n: callers[HASHER.digest(GOOD_KEY + n)].role for n in ("", "2", "3", "4")}
    assert roles == {"": "user", "2": "admin", "3": "admin", "4": "admin"}
    assert callers[HASHER.digest(GOOD_KEY)].key_id == HASHER.key_id(GOOD_KEY)
    assert loaded.warnings == ()


WEAK = """api_keys:
  - your-api-key-here
  - short
admin_keys: [sk-master-dev, only-20-characters-x]
"""


def test_weak_keys_get_a_warning_on_loopback(tmp_path: Path) -> None:
    """Placeholders and short keys load where only this machine can reach the server."""
    lines = warnings_of(load_text(tmp_path, WEAK + SIM))
    assert [
        line.removeprefix(f"{tmp_path}/config.yaml:").partition(": replace")[0] for line in lines
    ] == [
        "2:5: api_keys: this key is a placeholder",
        "3:5: api_keys: this key is too short to be safe",
        "4:14: admin_keys: this key is a placeholder",
        "4:29: admin_keys: this key is too short to be safe",
    ]
    assert "short" not in lines[2]


@pytest.mark.parametrize(
    "bind",
    ["host: 0.0.0.0", "host: '::'", "host: my.name", "listen: ['127.0.0.1:1', '0.0.0.0:2']"],
)
def test_weak_keys_are_refused_elsewhere(tmp_path: Path, bind: str) -> None:
    """On an address that others can reach, weak keys are problems; good ones are not."""
    assert len(problems_of(tmp_path, f"{WEAK}{bind}\n{SIM}")) == 4
    assert load_text(tmp_path, f"api_keys: [{GOOD_KEY}]\n{bind}\n{SIM}").warnings == ()


def test_a_weak_key_of_a_variable_is_named_by_it(tmp_path: Path) -> None:
    """A weak key from the environment is reported by the variable's name, without the key."""
    environ = {"PROXY_API_API_KEYS": "canary", "PROXY_API_HOST": "0.0.0.0"}
    (problem,) = problems_of(tmp_path, SIM, environ)
    assert problem.startswith("environment: PROXY_API_API_KEYS: api_keys: this key is too short")
    assert "canary" not in problem


def test_no_key_at_all_gets_a_warning(tmp_path: Path) -> None:
    """Without any key the configuration loads, with a warning that all requests are refused."""
    loaded = load_text(tmp_path, SIM)
    assert loaded.snapshot.callers == {}
    assert ["there is no key" in line for line in warnings_of(loaded)] == [True]


def test_loopback() -> None:
    """Addresses of this machine only are loopback; unknown names are not taken for it."""
    names = ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"]
    assert all(map(is_loopback, names))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.com", ""]))
