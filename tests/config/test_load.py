"""The whole way: from files and environment to what the server serves with."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.config import sources
from proxy.config.load import LoadedConfig, load_config
from proxy.config.problem import ConfigError
from proxy.domain.secret import Secret
from proxy.domain.settings import PoolLimits
from tests.config.loading import GOOD_KEY, HASHER, load_text, problems_of, warnings_of

ROOT = Path(__file__).parents[2]
SEED = Path(__file__).parent / "seed_003"
GOOD = f"api_keys: [{GOOD_KEY}]\nproviders:\n  - {{name: s, type: simulator, models: [sim-echo]}}\n"


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    """Return a folder with the three files as the source documents print them."""
    shutil.copy(SEED / "config.yaml", tmp_path)
    shutil.copy(SEED / "health_worker_providers.json", tmp_path)
    shutil.copy(SEED / "dot.env", tmp_path / ".env")
    return tmp_path


def _load(folder: Path, environ: dict[str, str] | None = None) -> LoadedConfig:
    return load_config(folder / "config.yaml", environ or {}, HASHER, now_at=5.0)


def test_the_printed_files_load_unchanged_and_work(seed: Path) -> None:
    """The printed config.yaml, .env and health_worker_providers.json give a serving catalog."""
    loaded = _load(seed)
    provider = loaded.snapshot.providers["openai_default"]
    assert provider.api_key == Secret("sk-your-openai-key")
    assert provider.base_url == "https://api.openai.com/v1"
    assert provider.models == ("gpt-4", "gpt-3.5-turbo")
    assert (provider.clocks.headers_s, provider.clocks.first_token_s) == (30, 30)
    assert (provider.clocks.idle_s, provider.clocks.answer_s) == (30, 300)
    assert provider.pool == PoolLimits(10, 20, 15.0)
    assert (provider.max_retries, provider.retry_delay_s) == (3, 1.0)
    group = loaded.snapshot.find_group("gpt-4")
    assert group is not None
    assert [d.id for d in group.deployments] == ["openai_default/gpt-4"]
    assert loaded.snapshot.callers[HASHER.digest("your-api-key-here")].role == "user"
    assert loaded.install.listen == (("127.0.0.1", 8000),)
    assert loaded.install.max_connections == 100
    assert loaded.snapshot.settings.app_version == "2.0.0"
    assert loaded.snapshot.settings.cors_origins == ("*",)


def test_what_the_printed_files_get_warnings_for(seed: Path) -> None:
    """Pointed out are the placeholder key, the idle time that is cut, and who is only watched."""
    loaded = _load(seed)
    key, idle, watched = (line.removeprefix(f"{seed}/") for line in warnings_of(loaded))
    assert key.startswith("config.yaml:10:5: api_keys: this key is a placeholder")
    assert idle.startswith("config.yaml:64:24: keepalive_timeout: more than 15 seconds have no")
    assert watched.startswith("health_worker_providers.json:9:15: 'anthropic' is watched")
    assert [(probe.name, probe.providers) for probe in loaded.probes] == [
        ("openai", ("openai_default",)),
        ("anthropic", ()),
    ]


def test_what_the_printed_files_set_that_is_not_built_yet(seed: Path) -> None:
    """Condensation is listed; breakers, retries, health checks and discovery are in force."""
    listed = _load(seed).not_in_force
    assert "condensation" in listed
    assert not {"health_check_interval", "provider_discovery_interval"} & set(listed)
    assert "circuit_breaker_threshold" not in listed
    assert "providers.openai_default.max_retries" not in listed


def test_the_printed_configuration_without_its_key(seed: Path) -> None:
    """Without `.env` the provider is disabled, its models are known, and the rest loads."""
    (seed / ".env").unlink()
    loaded = _load(seed)
    assert not loaded.snapshot.providers["openai_default"].enabled
    assert loaded.snapshot.groups["gpt-4"].deployments == ()


def test_the_shipped_files_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The shipped configuration simulates without a key, and serves OpenAI once it has one."""
    for environ, served in (({}, False), ({"OPENAI_API_KEY": "k"}, True)):
        loaded = load_config(ROOT / "config.yaml", environ, HASHER, now_at=5.0)
        groups = loaded.snapshot.groups
        names = ("sim-echo", "sim-story", "sim-tools", "sim-embed")
        assert all(groups[name].deployments for name in names)
        assert bool(groups["gpt-4o-mini"].deployments) is served
        assert loaded.not_in_force == ()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "SYSTEM_PATH", tmp_path / "no-such-file")
    packaged = load_config(None, {}, HASHER, now_at=5.0)
    assert packaged.config_path is None
    assert packaged.snapshot.groups.keys() == groups.keys()


def test_the_examples_in_the_shipped_configuration_are_right(tmp_path: Path) -> None:
    """With the comments before its examples removed, the shipped configuration still loads."""
    lines = (ROOT / "config.yaml").read_text("utf-8").splitlines()
    examples = ("  # - ", "  #   ", "# routes:", "#   ")
    text = "\n".join(
        line.replace("# ", "", 1) if line.startswith(examples) else line for line in lines
    )
    environ = {"OPENAI_API_KEY": "k", "OPENROUTER_API_KEY": "k"}
    snapshot = load_text(tmp_path, text, environ).snapshot
    assert [d.id for d in snapshot.groups["fast"].deployments] == [
        "openai/gpt-4o-mini",
        "openrouter/openai/gpt-4o-mini",
    ]
    assert snapshot.find_group("anything") is not None


def test_the_example_of_variables_is_right(tmp_path: Path) -> None:
    """Every line of .env.example, uncommented, is a variable that something reads."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    dot_env = "\n".join(line.removeprefix("#") for line in lines if not line.startswith("# "))
    text = (ROOT / "config.yaml").read_text("utf-8")
    loaded = load_text(tmp_path, text, dot_env=dot_env)
    assert not [line for line in warnings_of(loaded) if "nothing reads" in line]


def test_the_shipped_probe_file_is_the_printed_one() -> None:
    """health_worker_providers.json is byte for byte the one of the source documents."""
    name = "health_worker_providers.json"
    assert (ROOT / name).read_bytes() == (SEED / name).read_bytes()


def test_all_mistakes_of_all_sources_come_at_once(tmp_path: Path) -> None:
    """Mistakes of the file, of `.env`, of variables and of the JSON are one list, by line."""
    text = """port: 99999
modles: 1
port: 2
api_keys:
  - 007
  - "a b"
providers:
  - name: a
    type: opnai
    timeout: -1
  - name: b
    type: openai
    base_url: "ftp://x"
    headers: {authorization: x}
  - name: B
    type: vllm
routes:
  - alias: r
    targets: [{provider: c, model: m}]
end_of_config: true
web_ui: "no"
"""
    lines = problems_of(
        tmp_path,
        text,
        {"PROXY_API_CLOCKS__TLS_S": "soon"},
        dot_env="OK=1\nnot a variable\n",
        probes='{"providers": [{"name": "x"}]}',
    )
    assert [line.partition(": ")[0] for line in lines] == [
        "config.yaml:1:7",
        "config.yaml:2:1",
        "config.yaml:3:1",
        "config.yaml:5:5",
        "config.yaml:5:5",
        "config.yaml:6:5",
        "config.yaml:9:11",
        "config.yaml:10:14",
        "config.yaml:13:15",
        "config.yaml:14:15",
        "config.yaml:15:5",
        "config.yaml:15:11",
        "config.yaml:19:26",
        "config.yaml:20:1",
        "config.yaml:21:9",
        ".env:2:1",
        "health_worker_providers.json:1:16",
        "environment",
    ]
    assert "environment: PROXY_API_CLOCKS__TLS_S: tls_s: a number is needed here" in str(lines)


CANARY = "sk-canary-0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f"api_keys: {CANARY}",
        f"api_keys: {{{CANARY}: 1}}",
        f"api_keys: ['{CANARY} x']",
        f"api_keys: [{{key: '{CANARY} x'}}]",
        f"api_keys: [{{key: [{CANARY}]}}]",
        f"api_keys: [{{{CANARY}: 1}}]",
        f"api_keys: [{{key: {CANARY}, models: {CANARY}}}]",
        f"api_keys: [{{key: {CANARY}, organization_id: '{CANARY} x'}}]",
        f"api_keys: [{{key: {CANARY}}}, {{key: {CANARY}}}]",
        f"admin_keys: [{CANARY}]",
        f"{CANARY}: 1",
        f"{CANARY}",
        f"'{CANARY}': 1\n'{CANARY}': 2",
        f"port: {CANARY}",
        f"log_level: {CANARY}",
        f"cors_origins: [{CANARY}]",
        f"api_key_header: '{CANARY} x'",
        f"listen: [{CANARY}]",
        f"admin_keys: [*{CANARY}]",
        f"api_keys: [!{CANARY} x]",
        f'api_keys: ["{CANARY}',
        f"api_keys: [{CANARY}: {{]",
        f"providers: {CANARY}",
        f"providers: [{CANARY}]",
        f"providers: [{{name: '{CANARY} x', type: openai}}]",
        f"providers: [{{name: a, type: {CANARY}}}]",
        f"providers: [{{name: a, type: openai, api_key: '{CANARY} x'}}]",
        f"providers: [{{name: a, type: openai, api_key: ['{CANARY}']}}]",
        f"providers: [{{name: a, type: openai, api_key_env: '{CANARY}'}}]",
        f"providers: [{{name: a, type: openai, api_key: '${{{CANARY}'}}]",
        f"providers: [{{name: a, type: openai, base_url: 'https://u:{CANARY}@x'}}]",
        f"providers: [{{name: a, type: openai, base_url: 'https://x?key={CANARY}'}}]",
        f"providers: [{{name: a, type: openai, headers: {{Authorization: {CANARY}}}}}]",
        f"providers: [{{name: a, type: openai, headers: {{'{CANARY} x': a}}}}]",
        f"providers: [{{name: a, type: openai, headers: {{X-A: '{CANARY} '}}}}]",
        f"providers: [{{name: a, type: openai, models: ['{CANARY}', '{CANARY}']}}]",
        f"providers: [{{name: a, type: openai, {CANARY}: 1}}]",
        f"routes: [{{alias: r, targets: [{{provider: {CANARY}, model: m}}]}}]",
        f"routes: [{{alias: r, strategy: {CANARY}, targets: []}}]",
        f"database_url: [{CANARY}]",
    ],
)
def test_no_message_holds_a_value(tmp_path: Path, text: str) -> None:
    """A key in any place of a broken file is not in what is printed about it."""
    lines = problems_of(tmp_path, f"api_key_header: 5\n{text}\n")
    assert CANARY not in "\n".join(lines)


def test_no_warning_and_no_repr_holds_a_key(tmp_path: Path) -> None:
    """Keys that load are not in the warnings, nor in the printed form of what was loaded."""
    text = f"api_keys: [{CANARY[:12]}]\nproviders:\n  - {{name: p, type: openai, models: [m]}}\n"
    text += f"  - {{name: q, type: openai, models: [m], api_key: {CANARY}}}\n"
    loaded = load_text(tmp_path, text, {"OPENAI_API_KEY": CANARY, "PROXY_API_X": CANARY})
    assert loaded.snapshot.providers["p"].api_key == Secret(CANARY)
    assert CANARY[:12] not in repr(loaded)
    assert len(loaded.warnings) == 2


def test_the_end_marker_must_be_at_the_end(tmp_path: Path) -> None:
    """Keys behind `end_of_config` could be cut off unseen, so it must be the last one."""
    text = f"end_of_config: true\napi_keys: [{GOOD_KEY}]\n"
    (problem,) = problems_of(tmp_path, text)
    assert problem.startswith("config.yaml:1:1: end_of_config is not the last key")


def test_a_json_configuration_is_read(tmp_path: Path) -> None:
    """A file named *.json is read as JSON, with the same checks."""
    path = tmp_path / "config.json"
    path.write_text('{"api_keys": ["' + GOOD_KEY + '"], "port": 8001}')
    assert load_config(path, {}, HASHER, now_at=1.0).install.listen == (("127.0.0.1", 8001),)
    path.write_text('{"port": "x"}')
    with pytest.raises(ConfigError, match=r"config\.json:1:10: port: a whole number"):
        load_config(path, {}, HASHER, now_at=1.0)


def test_the_generation_and_the_time_are_the_callers(tmp_path: Path) -> None:
    """The snapshot carries the number and the time that the caller gave."""
    path = tmp_path / "config.yaml"
    path.write_text(f"api_keys: [{GOOD_KEY}]\n")
    loaded = load_config(path, {}, HASHER, generation=7, now_at=3.5)
    assert (loaded.snapshot.generation, loaded.snapshot.created_at) == (7, 3.5)
    assert loaded.config_path == path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_configuration_loads_or_is_refused(seed: Path, data: st.DataObject) -> None:
    """The printed file, cut off or changed anywhere, loads or raises ConfigError, nothing else."""
    text = (SEED / "config.yaml").read_text("utf-8")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    middle = data.draw(st.text("ab:-[]{}\"'\n \t#&*!|>0", max_size=6))
    (seed / "config.yaml").write_text(text[:start] + middle + text[end:], "utf-8")
    try:
        loaded = _load(seed)
    except ConfigError as error:
        assert error.problems
    else:
        assert loaded.snapshot.generation == 1


def test_what_was_read_is_kept_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that were judged are there by their names, `.env` is not, and none is printed."""
    probes = '{"providers": []}'
    text = f"# a comment\n{GOOD}"
    loaded = load_text(tmp_path, text, dot_env="A=canary", probes=probes)
    assert [(file.name, file.data) for file in loaded.files] == [
        ("config.yaml", text.encode()),
        ("health_worker_providers.json", probes.encode()),
    ]
    assert "comment" not in repr(loaded)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "SYSTEM_PATH", tmp_path / "no-such-file")
    (tmp_path / "config.yaml").unlink()
    packaged = load_config(None, {}, HASHER, now_at=1.0)
    assert packaged.files[0].name == "default_config.yaml"


def test_each_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One load opens each file a single time: nothing can change between two looks."""
    load_text(tmp_path, GOOD, dot_env="A=b", probes='{"providers": []}')
    opened: list[str] = []
    really = os.open

    def note(path: str | Path, *rest: int) -> int:
        opened.append(Path(path).name)
        return really(path, *rest)

    monkeypatch.setattr(os, "open", note)
    load_config(tmp_path / "config.yaml", {}, HASHER, now_at=1.0)
    assert sorted(opened) == [".env", "config.yaml", "health_worker_providers.json"]


@pytest.mark.parametrize(
    ("end", "has_marker"),
    [("", False), ("end_of_config: true", True), ("end_of_config: null", False)],
)
def test_the_end_marker_is_noticed(tmp_path: Path, end: str, has_marker: bool) -> None:
    """Only `end_of_config: true` in the file marks its end."""
    assert load_text(tmp_path, f"{GOOD}{end}\n").has_marker is has_marker


def test_weak_keys_are_refused_while_the_server_listens_for_others(tmp_path: Path) -> None:
    """A file that says loopback does not make a placeholder good for 0.0.0.0."""
    path = tmp_path / "config.yaml"
    path.write_text("api_keys: [your-api-key-here]\nhost: 127.0.0.1\n")
    assert load_config(path, {}, HASHER, now_at=1.0, also_listen=[("127.0.0.2", 1)])
    with pytest.raises(ConfigError, match="this key is a placeholder"):
        load_config(path, {}, HASHER, now_at=1.0, also_listen=[("0.0.0.0", 8000)])
