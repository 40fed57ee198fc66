"""Which keys are let in, and which are refused as too weak."""

from pathlib import Path

import pytest

from proxy.config.build_callers import is_loopback
from proxy.domain.identity import Caller
from proxy.domain.settings import RateLimit
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
  - {key: brief}
"""


def test_weak_keys_get_a_warning_on_loopback(tmp_path: Path) -> None:
    """Placeholders and short keys of users load where only this machine can reach the server."""
    lines = warnings_of(load_text(tmp_path, WEAK + SIM))
    assert [
        line.removeprefix(f"{tmp_path}/config.yaml:").partition(": replace")[0] for line in lines
    ] == [
        "2:5: api_keys: this key is a placeholder",
        "3:5: api_keys: this key is too short to be safe",
        "4:11: api_keys: this key is too short to be safe",
    ]
    assert "brief" not in lines[2]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_weak_admin_keys_are_refused_everywhere(tmp_path: Path, host: str) -> None:
    """Who can guess an admin key can do everything: not even loopback starts with one."""
    weak = "admin_keys: [sk-master-dev, only-21-characters-xx, exactly-21-characters]\n"
    text = f"api_keys: [{GOOD_KEY}]\nhost: {host}\n{weak}{SIM}"
    assert [line.partition(": replace")[0] for line in problems_of(tmp_path, text)] == [
        "config.yaml:3:14: admin_keys: this key is a placeholder",
        "config.yaml:3:29: admin_keys: this key is too short to be safe",
        "config.yaml:3:52: admin_keys: this key is too short to be safe",
    ]


def test_a_weak_master_key_is_refused_by_its_variable(tmp_path: Path) -> None:
    """LITELLM_MASTER_KEY is an admin key: `sk-1234` of old examples does not start."""
    text = f"api_keys: [{GOOD_KEY}]\nadmin_keys: [{GOOD_KEY}2]\n{SIM}"
    (problem,) = problems_of(tmp_path, text, {"LITELLM_MASTER_KEY": "sk-1234"})
    assert problem.startswith("environment: LITELLM_MASTER_KEY: admin_keys: this key is a ")
    assert "1234" not in problem


@pytest.mark.parametrize(
    "bind",
    ["host: 0.0.0.0", "host: '::'", "host: my.name", "listen: ['127.0.0.1:1', '0.0.0.0:2']"],
)
def test_weak_keys_are_refused_elsewhere(tmp_path: Path, bind: str) -> None:
    """On an address that others can reach, weak keys are problems; good ones are not."""
    assert len(problems_of(tmp_path, f"{WEAK}{bind}\n{SIM}")) == 3
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


def test_a_key_may_be_limited(tmp_path: Path) -> None:
    """Models, organization and limit of an entry reach its caller; the rest stays general."""
    text = f"""api_keys:
  - {GOOD_KEY}1
  - key: {GOOD_KEY}2
    models: [sim-echo, sim/sim-echo]
    organization_id: acme
    rate_limit_rpm: 30
  - {{key: {GOOD_KEY}3, rate_limit_window: 120}}
rate_limit_rpm: 2000
rate_limit_window: 60
"""
    loaded = load_text(tmp_path, text + SIM)
    assert loaded.warnings == ()
    callers = loaded.snapshot.callers
    plain, limited, longer = (callers[HASHER.digest(f"{GOOD_KEY}{n}")] for n in (1, 2, 3))
    assert plain == Caller(HASHER.key_id(f"{GOOD_KEY}1"))
    assert limited == Caller(
        HASHER.key_id(f"{GOOD_KEY}2"),
        organization_id="acme",
        models=frozenset(("sim-echo", "sim/sim-echo")),
        rate_limit=RateLimit(30, 60.0),
    )
    assert longer.rate_limit == RateLimit(4000, 120.0)
    assert loaded.snapshot.settings.rate_limit == RateLimit(2000, 60.0)


def test_a_window_without_a_limit_gets_a_warning(tmp_path: Path) -> None:
    """A window alone limits nothing, and whoever wrote it believes that it does."""
    text = f"api_keys: [{{key: {GOOD_KEY}, rate_limit_window: 5}}]\n{SIM}"
    loaded = load_text(tmp_path, text)
    (warning,) = warnings_of(loaded)
    assert "1:73: rate_limit_window: this has no effect" in warning
    assert loaded.snapshot.callers[HASHER.digest(GOOD_KEY)].rate_limit is None


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    """Two entries of one key could mean different things: both are named, neither is shown."""
    text = f"api_keys:\n  - {GOOD_KEY}\n  - {{key: {GOOD_KEY}, models: [sim-echo]}}\n{SIM}"
    (problem,) = problems_of(tmp_path, text)
    assert problem.startswith("config.yaml:3:11: api_keys: this key was given before, on line 2")
    assert GOOD_KEY not in problem


def test_files_of_nobody_get_a_warning(tmp_path: Path) -> None:
    """A provider whose files are said to be of an organization without a key is pointed at."""
    text = f"api_keys:\n  - {{key: {GOOD_KEY}, organization_id: acme}}\n" + SIM
    for owner, count in (("acme", 0), ("acne", 1)):
        named = text.replace("type: simulator", f"type: simulator, files_organization: {owner}")
        lines = warnings_of(load_text(tmp_path, named))
        assert ["files_organization: no key" in line for line in lines] == [True] * count


def test_an_unknown_name_of_a_key_gets_a_warning(tmp_path: Path) -> None:
    """A name that nothing answers to is pointed at, where it stands."""
    text = f"api_keys:\n  - key: {GOOD_KEY}\n    models: [sim-echo, sim/sim-echo, nope, sim/no]\n"
    lines = warnings_of(load_text(tmp_path, text + SIM))
    assert [
        line.removeprefix(f"{tmp_path}/config.yaml:").partition(" that")[0] for line in lines
    ] == [
        "3:38: models: this name stands for nothing",
        "3:44: models: this name stands for nothing",
    ]
