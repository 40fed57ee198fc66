"""From checked entries to install settings and snapshot."""

from pathlib import Path

import pytest

from proxy.domain.settings import InstallSettings, Settings
from tests.config.loading import GOOD_KEY, load_text, problems_of, warnings_of

REST = f"""
api_keys: [{GOOD_KEY}]
providers:
  - {{name: sim, type: simulator, models: [sim-echo]}}
"""


def test_defaults(tmp_path: Path) -> None:
    """Without settings the values are the domain's defaults, and state lies beside the file."""
    loaded = load_text(tmp_path, REST)
    assert loaded.install == InstallSettings(state_dir=str(tmp_path / ".state"))
    assert loaded.snapshot.settings == Settings()
    assert (loaded.snapshot.generation, loaded.snapshot.created_at) == (1, 1000.0)


def test_every_setting_arrives(tmp_path: Path) -> None:
    """What the file sets is what the server works by."""
    text = """
app_name: "N"
app_version: "3"
debug: true
log_level: error
log_file: x.log
max_connections: 5
database_url: "sqlite:///x"
redis_url: "redis://x"
workers: 2
drain_timeout: 30
drain_delay: 5
request_timeout: 11
max_body_bytes: 2048
clocks: {commit_delay_s: 1, keep_alive_s: 2}
limits:
  max_event_bytes: 4096
  max_answer_bytes: 8192
  max_upload_bytes: 16384
  max_passed_answer_bytes: 32768
  max_form_start_bytes: 2048
api_key_header: X-Key
cors_origins: ["*"]
metrics_auth: false
"""
    loaded = load_text(tmp_path, text + REST)
    assert loaded.install == InstallSettings(
        workers=2,
        state_dir=str(tmp_path / ".state"),
        log_level="ERROR",
        log_file="x.log",
        max_connections=5,
        database_url="sqlite:///x",
        redis_url="redis://x",
        debug=True,
        drain_timeout_s=30,
        drain_delay_s=5,
    )
    assert loaded.snapshot.settings == Settings(
        request_timeout_s=11,
        commit_delay_s=1,
        keep_alive_s=2,
        max_body_bytes=2048,
        max_event_bytes=4096,
        max_answer_bytes=8192,
        max_upload_bytes=16384,
        max_passed_answer_bytes=32768,
        max_form_start_bytes=2048,
        api_key_header="X-Key",
        cors_origins=("*",),
        metrics_auth=False,
        app_name="N",
        app_version="3",
    )


@pytest.mark.parametrize(
    ("text", "environ", "listen"),
    [
        ("host: localhost\nport: 1", {}, [("localhost", 1)]),
        ("listen: ['[::1]:2', '127.0.0.1:40']", {}, [("::1", 2), ("127.0.0.1", 40)]),
        ("port: 1", {"PROXY_API_PORT": "3"}, [("127.0.0.1", 3)]),
        (
            "listen: ['127.0.0.2:2', '127.0.0.1:2']",
            {"PROXY_API_PORT": "3"},
            [("127.0.0.2", 3), ("127.0.0.1", 2)],
        ),
        ("listen: ['127.0.0.2:2']", {"PROXY_API_HOST": "::1"}, [("::1", 2)]),
        ("port: 1", {"PROXY_API_LISTEN": "127.0.0.1:5", "PROXY_API_PORT": "3"}, [("127.0.0.1", 5)]),
        ("listen: ['127.0.0.1:0', '127.0.0.1:0']", {}, [("127.0.0.1", 0)] * 2),
    ],
)
def test_where_to_listen(
    tmp_path: Path, text: str, environ: dict[str, str], listen: list[tuple[str, int]]
) -> None:
    """`listen` goes before `host` and `port`; a variable of those moves its first address."""
    assert load_text(tmp_path, f"{text}\n{REST}", environ).install.listen == tuple(listen)


def test_an_address_is_listened_on_once(tmp_path: Path) -> None:
    """The same address twice is an error, also if a variable has made it the same."""
    text = f"listen: ['127.0.0.1:2', '127.0.0.1:3']\n{REST}"
    load_text(tmp_path, text)
    assert problems_of(tmp_path, text, {"PROXY_API_PORT": "3"}) == [
        "config.yaml:1:25: listen: this address was given before: keep one of the two"
    ]


def test_debug_lowers_the_log_level_unless_it_is_set(tmp_path: Path) -> None:
    """`debug: true` logs at DEBUG, but not against a `log_level` that somebody has set."""
    assert load_text(tmp_path, f"debug: true\n{REST}").install.log_level == "DEBUG"
    text = f"debug: true\nlog_level: INFO\n{REST}"
    assert load_text(tmp_path, text).install.log_level == "INFO"


def test_settings_without_effect_get_a_warning(tmp_path: Path) -> None:
    """`port` beside `listen`, and a configuration without providers, are pointed out."""
    text = f"port: 1\nlisten: ['127.0.0.1:2']\napi_keys: [{GOOD_KEY}]\n"
    none, unused = warnings_of(load_text(tmp_path, text))
    assert unused.endswith(
        "host and port are not used, because listen is set: remove them, or remove listen"
    )
    assert "there are no providers" in none
