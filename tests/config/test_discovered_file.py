"""What was found stands behind what was written, and can break nothing of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.config.load import LoadedConfig, load_config
from tests.config.loading import GOOD_KEY, HASHER, load_text, warnings_of
from tests.fakes.third_party import install_package

OWN = f"""
api_keys: [{GOOD_KEY}]
provider_registry_url: https://registry.example/list.json
providers:
  - name: written
    type: openai_compatible
    base_url: https://own.example/v1
    models: [own-model]
"""
NETWORKS = "discovery: {private_networks: [10.0.0.0/8]}\n"


def entry(name: str = "found", **other: Any) -> dict[str, Any]:
    """Return one entry of the file that is good."""
    return {
        "name": name,
        "type": "openai_compatible",
        "base_url": f"https://{name}.example/v1",
        "models": ["m"],
        "found_by": "registry",
        "found_at": 5.0,
        **other,
    }


def load(
    folder: Path, *entries: Any, text: str = OWN, environ: dict[str, str] | None = None
) -> LoadedConfig:
    """Load a configuration beside which these entries were found."""
    write(folder, json.dumps({"providers": entries}))
    return load_text(folder, text, environ)


def write(folder: Path, text: str) -> Path:
    """Write `discovered.json` as it is."""
    (folder / ".state").mkdir(exist_ok=True)
    path = folder / ".state" / "discovered.json"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return path


def test_a_found_provider_serves_behind_the_written_ones(tmp_path: Path) -> None:
    """It is in the catalog with its models, and says by whom it was found."""
    loaded = load(tmp_path, entry(models=["m", "own-model", "m"]))
    found = loaded.snapshot.providers["found"]
    assert (found.found_by, found.models, found.priority) == ("registry", ("m", "own-model"), 100)
    assert loaded.snapshot.providers["written"].found_by is None
    group = loaded.snapshot.groups["own-model"]
    assert [d.provider.name for d in group.deployments] == ["written", "found"]
    assert loaded.own_count == 1


def names_behind(loaded: LoadedConfig, name: str) -> list[str]:
    """Return the providers that a client's name leads to, in order."""
    group = loaded.snapshot.find_group(name)
    return [] if group is None else [each.provider.name for each in group.deployments]


def test_its_weight_brings_a_found_provider_before_none_of_the_operators(tmp_path: Path) -> None:
    """By default it stands behind a written provider of the same model, however it is called."""
    loaded = load(tmp_path, entry("a", models=["own-model"], weight=1000, priority=0))
    assert names_behind(loaded, "own-model") == ["written", "a"]


def test_a_found_model_takes_no_name_of_a_written_provider(tmp_path: Path) -> None:
    """`provider/model` of the operator's leads to the operator's, whatever a model is called."""
    loaded = load(
        tmp_path, entry(models=["written/own-model", "m"]), entry("b", models=["written/x"])
    )
    assert names_behind(loaded, "written/own-model") == ["written"]
    assert names_behind(loaded, "m") == ["found"]
    assert "b" not in loaded.snapshot.providers
    assert sum("these are left out" in text for text in warnings_of(loaded)) == 2


WILD = OWN.replace("[own-model]", '["*"]')


@pytest.mark.parametrize("name", ["m", "found/m", "found/other", "found/", "deep/m"])
def test_a_found_provider_takes_no_name_from_one_that_takes_any(tmp_path: Path, name: str) -> None:
    """A name that a written provider serves because it takes any still leads there first."""
    before = names_behind(load(tmp_path, text=WILD), name)
    after = names_behind(load(tmp_path, entry(models=["m", "deep/m"]), text=WILD), name)
    assert after[: len(before)] == before
    assert after[len(before) :] == (["found"] if name in ("m", "found/m", "deep/m") else [])


def test_every_value_says_who_has_found_it(tmp_path: Path) -> None:
    """The effective values of a found provider name the file and the source."""
    loaded = load(tmp_path, entry())
    sources = {value.path: value.source for value in loaded.effective}
    for key in ("name", "type", "base_url", "models", "priority"):
        assert sources[f"providers.found.{key}"] == "discovered.json (registry)"
    assert sources["providers.found.timeout"] == "default"


def test_a_written_provider_wins_and_shows_what_has_lost(tmp_path: Path) -> None:
    """A found provider of the same name is left out, with a warning and as a shadow."""
    loaded = load(tmp_path, entry("written", base_url="https://evil.example/v1"))
    assert loaded.snapshot.providers["written"].base_url == "https://own.example/v1"
    values = {value.path: value for value in loaded.effective}
    [shadow] = values["providers.written.base_url"].shadows
    assert (shadow.value, shadow.source) == (
        "https://evil.example/v1",
        "discovered.json (registry)",
    )
    [warning] = warnings_of(loaded)
    assert "'written' was found, and another provider has this name" in warning


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("https://own.example", "https://own.example/v1"),
        ("https://OWN.example:443/v1", "https://own.example./v1/"),
        ("http://localhost:11434", "http://127.0.0.1:11434/v1"),
    ],
)
def test_a_server_is_known_by_each_way_to_write_its_address(
    tmp_path: Path, written: str, there: str
) -> None:
    """What is at a written provider's address is left out, however that is written."""
    text = OWN.replace("https://own.example/v1", written) + NETWORKS.replace("10.0", "127.0")
    loaded = load(tmp_path, entry(base_url=there), text=text)
    assert list(loaded.snapshot.providers) == ["written"]
    assert any("at the address of 'written'" in text for text in warnings_of(loaded))


def test_the_same_server_is_not_there_twice(tmp_path: Path) -> None:
    """What was found at the address of a written provider is left out."""
    loaded = load(tmp_path, entry(base_url="https://own.example/v1/"))
    assert list(loaded.snapshot.providers) == ["written"]
    assert "was found at the address of 'written'" in warnings_of(loaded)[0]


def test_no_variable_reaches_a_found_provider(tmp_path: Path) -> None:
    """Neither the key of its type nor a variable with its name counts for what was found."""
    environ = {
        "OPENAI_API_KEY": "sk-of-the-configuration",
        "PROXY_API_PROVIDERS__FOUND__API_KEY": "sk-by-name",
        "PROXY_API_FOUND_API_KEY": "sk-by-another-name",
    }
    loaded = load(tmp_path, entry(type="openai"), environ=environ)
    found = loaded.snapshot.providers["found"]
    assert found.api_key is None
    assert found.disabled_reason == "no API key: set discovery.api_key_env"
    assert any("its type needs an API key" in warning for warning in warnings_of(loaded))


def test_the_key_of_the_search_is_the_only_one(tmp_path: Path) -> None:
    """`discovery.api_key_env` names the key of all found providers but local servers."""
    text = OWN + "discovery: {api_key_env: FOUND_API_KEY, local_servers: true}\n"
    local = entry("local", base_url="http://127.0.0.1:1234/v1", found_by="local")
    environ = {"FOUND_API_KEY": "sk-for-found-ones", "OPENAI_API_KEY": "sk-other"}
    loaded = load(tmp_path, entry(type="openai"), local, text=text, environ=environ)
    found = loaded.snapshot.providers["found"]
    assert found.api_key is not None
    assert found.api_key.reveal() == "sk-for-found-ones"
    assert found.enabled
    assert loaded.snapshot.providers["local"].api_key is None
    shown = {value.path: value for value in loaded.effective}["providers.found.api_key"]
    assert "sk-for" not in str(shown.value)


def test_the_variables_of_a_search_are_known(tmp_path: Path) -> None:
    """A variable that `discovery` names is read, and no warning calls it a mistake."""
    text = (
        OWN + "discovery:\n  api_key_env: PROXY_API_FOUND_KEY\n"
        "  registry_token_env: PROXY_API_REGISTRY_KEY\n"
        "  consul: {services: [s], token_env: PROXY_API_CONSUL_TOKEN}\n"
    )
    names = ("PROXY_API_FOUND_KEY", "PROXY_API_REGISTRY_KEY", "PROXY_API_CONSUL_TOKEN")
    loaded = load(tmp_path, text=text, environ=dict.fromkeys(names, "t-1"))
    assert warnings_of(loaded) == []


@pytest.mark.parametrize(
    ("base_url", "reason"),
    [
        ("http://169.254.169.254/latest", "no provider is ever reached at this address"),
        ("http://[fd00:ec2::254]/v1", "no provider is ever reached at this address"),
        ("http://0.0.0.0:8000/v1", "no provider is ever reached at this address"),
        ("http://2130706433/v1", "this host is a number"),
        ("http://127.0.0.1:8500/v1", "not in discovery.private_networks"),
        ("http://localhost:8500/v1", "not in discovery.private_networks"),
        ("http://[::ffff:127.0.0.1]/v1", "not in discovery.private_networks"),
        ("https://192.168.1.1/v1", "not in discovery.private_networks"),
        ("http://8.8.8.8/v1", "https is needed for a public address"),
        ("http://public.example.com/v1", "https is needed for a public name"),
        ("https://user:word@host.example/v1", "this URL holds a user name or password"),
        ("file:///etc/passwd", "this is not an http or https URL"),
    ],
)
def test_addresses_that_nobody_has_allowed_are_left_out(
    tmp_path: Path, base_url: str, reason: str
) -> None:
    """A found address is public and over TLS, or lies in a network that the operator names."""
    loaded = load(tmp_path, entry(base_url=base_url), entry("good"), text=OWN + NETWORKS)
    assert list(loaded.snapshot.providers) == ["written", "good"]
    [warning] = warnings_of(loaded)
    assert reason in warning


def test_allowed_networks_are_what_its_name_may_lead_to(tmp_path: Path) -> None:
    """The guard of a found provider goes by `discovery.private_networks`."""
    inside = entry(base_url="http://10.1.2.3:8000/v1")
    named = entry("named", base_url="http://vllm.internal:8000/v1")
    loaded = load(tmp_path, inside, named, text=OWN + NETWORKS)
    assert loaded.snapshot.providers["found"].base_url == "http://10.1.2.3:8000/v1"
    assert loaded.snapshot.providers["named"].private_networks == ("10.0.0.0/8",)
    assert warnings_of(loaded) == []


def test_local_servers_are_on_this_machine(tmp_path: Path) -> None:
    """What a local search has found needs no network, and is at loopback or nowhere."""
    text = OWN + "discovery: {local_servers: true, private_networks: [10.0.0.0/8]}\n"
    here = entry("here", base_url="http://127.0.0.1:1234/v1", found_by="local")
    there = entry("there", base_url="http://10.0.0.1:1234/v1", found_by="local")
    loaded = load(tmp_path, here, there, text=text)
    assert list(loaded.snapshot.providers) == ["written", "here"]
    assert loaded.snapshot.providers["here"].private_networks == ()


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "a b"},
        {"type": "no-such-type"},
        {"type": "simulator"},
        {"models": []},
        {"models": ["*"]},
        {"models": [" m"]},
        {"models": "m"},
        {"weight": 0},
        {"weight": "1"},
        {"found_by": "somebody"},
    ],
)
def test_a_broken_entry_costs_only_itself(tmp_path: Path, bad: dict[str, Any]) -> None:
    """What cannot be used is left out with a warning, and the other entries serve."""
    loaded = load(tmp_path, entry(**bad), entry("good"))
    assert list(loaded.snapshot.providers) == ["written", "good"]
    assert len(warnings_of(loaded)) == 1


def test_nobody_who_is_found_has_a_packages_code_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A type that only a package brings is left out, and the package is not even looked for."""
    site = tmp_path / "site"
    site.mkdir()
    install_package(site, "raise SystemExit", type_name="acme")
    monkeypatch.syspath_prepend(site)
    loaded = load(tmp_path, entry(type="acme"), entry("other", base_url="https://b.example/v1"))
    assert "found" not in loaded.snapshot.providers
    assert "other" in loaded.snapshot.providers
    assert any("this provider type is not known" in warning for warning in warnings_of(loaded))


def test_nothing_but_the_known_keys_is_taken(tmp_path: Path) -> None:
    """Headers, a proxy, a key, a transport or a file with certificates mean nothing here."""
    more: dict[str, Any] = {
        "headers": {"x": "y"},
        "proxy": "http://p.example",
        "api_key": "sk-theirs",
        "transport": "aiohttp",
        "ca_file": "/tmp/ca.pem",
        "private_networks": ["127.0.0.0/8"],
    }
    found = load(tmp_path, entry(**more)).snapshot.providers["found"]
    assert (found.headers, found.proxy, found.api_key, found.ca_file) == ({}, None, None, None)
    assert (found.transport, found.private_networks) == ("httptools", ())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"providers": 1}', "\0\0"])
def test_a_broken_file_changes_nothing(tmp_path: Path, text: str) -> None:
    """What it held before goes on; at a start nothing of it is used, and the rest serves."""
    before = load(tmp_path, entry())
    write(tmp_path, text)
    path = tmp_path / "config.yaml"
    after = load_config(path, {}, HASHER, now_at=1.0, discovered=before.discovered)
    assert after.snapshot.providers == before.snapshot.providers
    assert after.discovered == before.discovered
    [warning] = warnings_of(after)
    assert "discovered.json: this file cannot be read; what it held before goes on" in warning
    fresh = load_config(path, {}, HASHER, now_at=1.0)
    assert list(fresh.snapshot.providers) == ["written"]
    assert "nothing of it is used" in warnings_of(fresh)[0]


def test_a_file_that_others_may_write_is_not_read(tmp_path: Path) -> None:
    """Rights that let strangers in are a warning, and nothing is taken from the file."""
    write(tmp_path, json.dumps({"providers": [entry()]})).chmod(0o666)
    loaded = load_text(tmp_path, OWN)
    assert list(loaded.snapshot.providers) == ["written"]
    assert "every user may write this file" in warnings_of(loaded)[0]


def test_a_source_that_is_switched_off_counts_no_more(tmp_path: Path) -> None:
    """What Consul has found is not served while only a registry is searched, nor without any."""
    assert "found" not in load(tmp_path, entry(found_by="consul")).snapshot.providers
    off = OWN.replace("provider_registry_url", "#")
    assert "found" not in load(tmp_path, entry(), text=off).snapshot.providers


def test_a_found_provider_never_goes_first(tmp_path: Path) -> None:
    """Its own priority counts only where it comes later than the operator's for all of them."""
    text = OWN + "discovery: {priority: 5}\n"
    loaded = load(tmp_path, entry("a", priority=0), entry("b", priority=9), text=text)
    assert [loaded.snapshot.providers[name].priority for name in ("a", "b")] == [5, 9]


def test_no_more_are_taken_than_allowed(tmp_path: Path) -> None:
    """The first `max_providers` serve, and the rest is named in warnings."""
    text = OWN + "discovery: {max_providers: 2}\n"
    loaded = load(tmp_path, *(entry(f"f{n}") for n in range(3)), text=text)
    assert list(loaded.snapshot.providers) == ["written", "f0", "f1"]
    assert "more than 2 providers were found" in warnings_of(loaded)[0]


def test_a_route_to_what_may_be_found_breaks_nothing(tmp_path: Path) -> None:
    """An alias for a found provider is served while it is there, and a warning while it is not."""
    route = (
        "routes:\n  - alias: all\n    targets: [{provider: found, model: m}]\n"
        "    fallbacks: [found/m]\n"
    )
    there = load(tmp_path, entry(), text=OWN + route)
    assert [d.id for d in there.snapshot.groups["all"].deployments] == ["found/m"]
    assert warnings_of(there) == []
    away = load(tmp_path, text=OWN + route)
    assert away.snapshot.groups["all"].deployments == ()
    assert len(warnings_of(away)) == 2
