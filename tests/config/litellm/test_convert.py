"""LiteLLM's configurations, whole: what is made of them can be served, and says what is missing."""

import copy
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.config.litellm.convert import Imported, NotLiteLLM, import_litellm
from proxy.config.load import LoadedConfig, load_config
from proxy.domain.identity import KeyHasher

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.yaml"))
IN_THE_CLEAR = {"fallbacks": {"sk-in-the-clear-of-together"}}
SECRETS = ("sk-in-the-clear-of-together", "sk-lf-secret-of-langfuse", "sk-1234")


def sample(name: str) -> Imported:
    """Return what is made of a sample."""
    return import_litellm((Path(__file__).parent / "samples" / f"{name}.yaml").read_bytes())


def load(imported: Imported, folder: Path) -> LoadedConfig:
    """Return the configuration as the server reads it."""
    path = folder / "config.yaml"
    path.write_text(imported.write("litellm.yaml"))
    path.chmod(0o600)
    return load_config(path, {}, KeyHasher(b"pepper"), now_at=0.0)


def routes(imported: Imported) -> dict[str, dict[str, Any]]:
    """Return the routes by their names."""
    return {route["alias"]: route for route in imported.config["routes"]}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_what_is_made_can_be_served(path: Path, tmp_path: Path) -> None:
    """The server takes what was written: all that is switched on, each route, and the end."""
    imported = import_litellm(path.read_bytes())
    loaded = load(imported, tmp_path)
    assert loaded.has_marker
    on = {entry["name"] for entry in imported.config["providers"] if entry.get("enabled", True)}
    assert loaded.snapshot.providers.keys() == on
    assert {route["alias"] for route in imported.config["routes"]} <= loaded.snapshot.groups.keys()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_secrets_stay_where_they_were(path: Path) -> None:
    """What stood in a variable or in no key of a provider is not written; no note has a value."""
    imported = import_litellm(path.read_bytes())
    text = imported.write("litellm.yaml")
    told = {secret for secret in SECRETS if secret in text}
    assert told == IN_THE_CLEAR.get(path.stem, set())
    assert not [note for note in imported.notes for secret in SECRETS if secret in note]


def test_deployments_of_one_name_are_one_route(tmp_path: Path) -> None:
    """Their rates become shares, their order priorities, and what is known of them is kept."""
    imported = sample("load_balancer")
    route = routes(imported)["gpt-4o"]
    assert route["strategy"] == "weighted"
    assert route["targets"] == [
        {"provider": "azure", "model": "gpt-4o-eu", "weight": 4},
        {"provider": "azure-2", "model": "gpt-4o-ca", "weight": 42},
        {"provider": "openai", "model": "gpt-4o", "weight": 1000, "priority": 2},
    ]
    first, second, third = imported.config["providers"]
    assert first["api_key_env"] == "PROXY_API_AZURE_API_KEY_EU"
    assert first["api_version"] == "2024-10-21"
    assert first["model_info"]["gpt-4o-eu"] == {
        "max_input_tokens": 128000,
        "input_usd_per_million_tokens": 2.5,
        "output_usd_per_million_tokens": 10.0,
    }
    assert (second["enabled"], "api_version" in second) == (False, False)
    assert third["clocks"] == {"answer_s": 30.0}
    assert (third["timeout"], third["max_retries"], first["max_retries"]) == (10.0, 1, 2)
    assert third["headers"] == {"OpenAI-Organization": "org-of-ours"}


def test_settings_of_the_whole_proxy_are_kept() -> None:
    """Timeouts, breakers and dropped fields are set; of two sections the router's goes before."""
    config = sample("load_balancer").config
    assert config["request_timeout"] == 30.0
    assert config["unsupported_params"] == "drop"
    assert (config["circuit_breaker_threshold"], config["circuit_breaker_timeout"]) == (4, 30.0)
    assert sample("fallbacks").config["unsupported_params"] == "error"


def test_all_fallbacks_are_one_list() -> None:
    """Those for failures come first; a name without its own gets the default ones; no unknown."""
    by_name = routes(sample("fallbacks"))
    assert by_name["smart"]["fallbacks"] == ["cheap", "smart-long"]
    assert by_name["smart-long"]["fallbacks"] == ["cheap"]
    assert "fallbacks" not in by_name["cheap"]
    assert by_name["gpt-4"]["targets"] == by_name["smart"]["targets"]
    assert by_name["gpt-4"]["fallbacks"] == ["cheap", "smart-long"]
    assert [target["weight"] for target in by_name["cheap"]["targets"]] == [1000, 250]
    assert not {"old", "broken"} & by_name.keys()


def test_what_has_no_counterpart_is_told() -> None:
    """Each thing that is missing has its line, in the notes and at the top of the file."""
    imported = sample("fallbacks")
    text = "\n".join(imported.notes)
    for word in (
        *("model_list[4] old", "model_list[1] smart-long.temperature", "guardrails"),
        *("model_group_alias.broken", "context_window_fallbacks", "nobody is not served here"),
    ):
        assert word in text
    head = imported.write("litellm.yaml").partition("\n\n")[0]
    assert all(f"# - {note}" in head for note in imported.notes)


def test_servers_of_ones_own(tmp_path: Path) -> None:
    """Addresses, patterns and headers are kept where they can be; doubles are one deployment."""
    imported = sample("local_servers")
    by_name = {entry["name"]: entry for entry in imported.config["providers"]}
    assert by_name["vllm"]["base_url"] == "http://10.0.0.5:8000/v1"
    assert by_name["openrouter"]["models"] == ["*"]
    assert by_name["groq"]["models"] == ["*"]
    assert by_name["openai_compatible-2"]["enabled"] is False
    assert "headers" not in by_name["deepseek"]
    (studio,) = routes(imported)["studio"]["targets"]
    assert studio["provider"] == "openai_compatible"
    assert routes(imported)["qwen"]["fallbacks"] == ["openrouter/auto", "llama"]
    loaded = load(imported, tmp_path)
    assert loaded.install is not None
    assert imported.config["api_key_header"] == "X-House-Key"
    assert imported.config["redis_url"] == "redis://127.0.0.1:6379"
    assert "max_body_bytes" not in imported.config


ODD: tuple[Any, ...] = (
    *(None, True, -1, 1e308, float("nan"), "", " a ", "a\nb", "${X}", "*", "x" * 300, "no", 10**30),
    *("os.environ/NOWHERE", "http://169.254.169.254/", "http://[::1", "https://u:p@host/", "é"),
    *([], {}, [1], {"a": 1}, [["a"]], [{"a": ["b"]}], {"model": "gpt-4o"}),
)


def change(value: Any, chance: random.Random) -> Any:
    """Return a value in which some parts are something else."""
    if chance.random() < 0.06:
        return copy.deepcopy(chance.choice(ODD))
    if isinstance(value, dict):
        return {name: change(part, chance) for name, part in value.items()}
    return [change(part, chance) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_whatever_a_part_is_what_is_made_can_be_served(path: Path, tmp_path: Path) -> None:
    """Values of another kind than they should be are noted or left out; the rest is valid."""
    document = yaml.safe_load(path.read_bytes())
    for seed in range(12):
        changed = change(document, random.Random(seed))
        if isinstance(changed, dict):
            data = yaml.safe_dump({"model_list": [], **changed}).encode()
            load(import_litellm(data), tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        *(b"\xff", b"a: [", b"- 1", b"a: 1", b"", b"[" * 1200, b"model_list: !!python/x 1"),
        pytest.param(b"model_list: []\na: 0x" + b"f" * 6000, id="endless-number"),
    ],
)
def test_what_is_no_configuration_is_told(data: bytes) -> None:
    """Anything else than LiteLLM's YAML is refused in words that hold nothing of it."""
    with pytest.raises(NotLiteLLM, match=r"not YAML|no model_list"):
        import_litellm(data)


@pytest.mark.parametrize("models", ["7", "[]", "[1, null, {model_name: 1}]", "{a: b}"])
def test_a_list_without_deployments_is_taken_all_the_same(models: str, tmp_path: Path) -> None:
    """Nothing is served by what is made of it, and it is valid."""
    imported = import_litellm(f"model_list: {models}\nrouter_settings: 3".encode())
    assert imported.config["providers"] == imported.config["routes"] == []
    load(imported, tmp_path)


def test_the_name_of_the_file_cannot_become_a_part_of_it() -> None:
    """A line end in it would end the comment that it stands in."""
    text = import_litellm(b"model_list: []").write("a\nadmin_keys: [x]\n.yaml")
    assert "admin_keys" not in text.partition("\n\n")[2]
    assert yaml.safe_load(text)["providers"] == []
