"""What differs between two configurations, in words."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from proxy.config.changes import describe_changes, list_needs_restart
from proxy.config.effective import EffectiveValue
from proxy.domain.settings import InstallSettings
from tests.config.loading import GOOD_KEY, load_text

MODELS = ", ".join(f"m{n}" for n in range(40))
FILE = f"""
api_keys: [{GOOD_KEY}]
request_timeout: 300
clocks: {{tls_s: 5}}
providers:
  - {{name: groq, type: groq, models: [llama-2], timeout: 30, headers: {{X-A: "1", X-B: "2"}}}}
  - {{name: local.one, type: lm_studio, models: [phi], base_url: "http://127.0.0.1:1/v1"}}
routes:
  - {{alias: fast, targets: [{{provider: groq, model: llama-2}}]}}
"""


def _change(folder: Path, old: str, new: str, environ: dict[str, str] | None = None) -> list[str]:
    """Return the lines for the file with one text in the place of another."""
    assert old in FILE
    environ = {"GROQ_API_KEY": "canary-groq", **(environ or {})}
    before = load_text(folder, FILE, {"GROQ_API_KEY": "canary-groq"}).effective
    return list(
        describe_changes(before, load_text(folder, FILE.replace(old, new), environ).effective)
    )


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("request_timeout: 300", "request_timeout: 120.5", ["request_timeout: 300 -> 120.5"]),
        ("tls_s: 5", "tls_s: 5.0, idle_s: 9", ["clocks.idle_s: 60 -> 9"]),
        ("request_timeout: 300", "rate_limit_rpm: 100", ["rate_limit_rpm: unset -> 100"]),
        ("timeout: 30,", "timeout: 60,", ["provider groq: timeout 30 -> 60"]),
        ("timeout: 30,", "enabled: false,", [
            "provider groq: enabled true -> false", "provider groq: timeout 30 -> unset",
        ]),
        ("llama-2", "llama-3", [
            "provider groq: models added llama-3, removed llama-2",
            "route fast: targets added groq/llama-3, removed groq/llama-2",
        ]),
        ("[phi]", f"[{MODELS}]", [
            "provider local.one: models added m0, m1, m10, m11, m12 and 35 more, removed phi",
        ]),
        ('X-A: "1", X-B: "2"', 'X-B: "3", X-C: "4"', [
            "provider groq: headers added X-C, removed X-A, changed X-B",
        ]),
        ("timeout: 30,", "timeout: 30, model_info: {llama-2: {max_input_tokens: 9}},", [
            "provider groq: model_info added llama-2",
        ]),
        ("timeout: 30,", "timeout: 30, api_key: canary-2,", ["provider groq: api_key changed"]),
        ("type: lm_studio,", "type: lm_studio, api_key: canary-2,", [
            "provider local.one: api_key added",
        ]),
        ("model: llama-2}", "model: llama-2, weight: 2}, {provider: local.one, model: phi}", [
            "route fast: targets added local.one/phi, changed groq/llama-2",
        ]),
        ("alias: fast", "alias: quick", ["route fast removed", "route quick added"]),
        (f"[{GOOD_KEY}]", f"[{GOOD_KEY}2, {{key: {GOOD_KEY}3, models: [phi]}}]", [
            "api_keys: 2 added, 1 removed",
        ]),
        (f"[{GOOD_KEY}]", f'["{GOOD_KEY}", "{GOOD_KEY}2"]', ["api_keys: 1 added"]),
        ("clocks:", r'app_name: "a\nb"' + "\nclocks:", [r'app_name: LLM Proxy API -> "a\nb"']),
    ],
)  # fmt: skip
def test_changes_are_told_in_words(tmp_path: Path, old: str, new: str, lines: list[str]) -> None:
    """Each change is one line that names whose it is, the setting, and both values."""
    assert _change(tmp_path, old, new) == lines


def test_the_settings_of_a_key_are_a_change_of_it(tmp_path: Path) -> None:
    """A key that may do something else is counted as changed, and not shown."""
    text = f"api_keys: [{{key: {GOOD_KEY}, rate_limit_rpm: 1}}]\n"
    before, after = (
        load_text(tmp_path, t).effective for t in (text, text.replace("rpm: 1", "rpm: 2"))
    )
    assert describe_changes(before, after) == ("api_keys: 1 changed",)


def test_providers_come_and_go(tmp_path: Path) -> None:
    """A provider that is new, with its models counted, and one that is gone are a line each."""
    lines = _change(tmp_path, "name: local.one", "name: local")
    assert lines == ["provider local added (1 model)", "provider local.one removed"]


def test_where_a_value_comes_from_is_no_change(tmp_path: Path) -> None:
    """A value that moves into a variable and stays the same tells nothing."""
    environ = {"PROXY_API_REQUEST_TIMEOUT": "300", "PROXY_API_API_KEYS": GOOD_KEY}
    assert _change(tmp_path, f"api_keys: [{GOOD_KEY}]\nrequest_timeout: 300\n", "", environ) == []


def test_the_order_of_providers_is_no_change(tmp_path: Path) -> None:
    """Providers that change places tell nothing."""
    entries = [f"  - {{name: {n}, type: openai, models: [m]}}\n" for n in ("p", "q", "r")]
    before, after = (
        load_text(tmp_path, "providers:\n" + "".join(e)).effective for e in (entries, entries[::-1])
    )
    assert describe_changes(before, after) == ()


def test_a_list_from_two_sources_is_compared_as_one(tmp_path: Path) -> None:
    """A master key in a variable is one key more, wherever the others come from."""
    keys = f"admin_keys: [{GOOD_KEY}2]"
    before = load_text(tmp_path, f"{keys}\n").effective
    environ = {"LITELLM_MASTER_KEY": f"{GOOD_KEY}3"}
    after = load_text(tmp_path, f"{keys}\n", environ).effective
    assert describe_changes(before, after) == ("admin_keys: 1 added",)
    assert describe_changes(after, before) == ("admin_keys: 1 removed",)


def test_models_in_another_order_are_told(tmp_path: Path) -> None:
    """What only stands elsewhere in its list is neither added nor removed."""
    text = "providers: [{name: p, type: openai, models: [a, b]}]\n"
    before, after = (load_text(tmp_path, t).effective for t in (text, text.replace("a, b", "b, a")))
    assert describe_changes(before, after) == ("provider p: models in another order",)


def test_a_setting_that_only_one_version_knows_is_no_change(tmp_path: Path) -> None:
    """After an upgrade the defaults of new settings are not told as changes."""
    after = load_text(tmp_path, FILE).effective
    before = tuple(value for value in after if value.path != "drain_timeout")
    assert describe_changes(before, after) == describe_changes(after, before) == ()


def test_many_changes_have_an_end(tmp_path: Path) -> None:
    """Of more than 200 lines the rest is counted."""
    entries = "".join(f"  - {{name: p{n}, type: openai, models: [m]}}\n" for n in range(250))
    before = load_text(tmp_path, "port: 1\n").effective
    after = load_text(tmp_path, f"port: 1\nproviders:\n{entries}").effective
    lines = describe_changes(before, after)
    assert len(lines) == 201
    assert lines[0] == "provider p0 added (1 model)"
    assert lines[-1] == "and 50 more"


def test_what_is_the_same_has_no_lines(tmp_path: Path) -> None:
    """A configuration does not differ from itself."""
    values: tuple[EffectiveValue, ...] = load_text(tmp_path, FILE).effective
    assert describe_changes(values, values) == ()


def test_what_waits_for_a_restart_is_named_by_its_key() -> None:
    """Install settings that differ are a line each; addresses of stores only say so."""
    running = InstallSettings(database_url="canary-1")
    assert list_needs_restart(running, running) == ()
    wanted = replace(
        running,
        listen=(("0.0.0.0", 8001),),
        workers=2,
        log_file="x.log",
        database_url="canary-2",
        redis_url="canary-3",
        drain_timeout_s=30.5,
    )
    assert list_needs_restart(running, wanted) == (
        "host: 127.0.0.1 -> 0.0.0.0",
        "port: 8000 -> 8001",
        "workers: 1 -> 2",
        "log_file: unset -> x.log",
        "database_url changed",
        "redis_url changed",
        "drain_timeout: 600 -> 30.5",
    )
    two = replace(running, listen=(("127.0.0.1", 8000), ("::1", 8000)))
    assert list_needs_restart(running, two) == (
        "listen: 127.0.0.1:8000 -> 127.0.0.1:8000, [::1]:8000",
    )


def test_the_health_worker_is_named_by_its_keys() -> None:
    """Whether there is one, and where it listens, are told in the words of the file."""
    running = InstallSettings()
    wanted = InstallSettings(health_worker=False, health_listen=("::1", 9001))
    assert list_needs_restart(running, wanted) == (
        "health_worker.enabled: true -> false",
        "health_worker.listen: 127.0.0.1:8001 -> [::1]:9001",
    )
    (line,) = list_needs_restart(running, InstallSettings(health_listen=None))
    assert line == "health_worker.listen: 127.0.0.1:8001 -> unset"
