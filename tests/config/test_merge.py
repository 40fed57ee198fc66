"""How variables change what the file says."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.environment import Variable, build_environment, parse_dot_env
from proxy.config.merge import Merged, merge, variable_part
from proxy.config.node import Node
from proxy.config.problem import Place
from proxy.domain.secret import Secret
from tests.config.loading import tree_of

SETTING_VARIABLE = "PROXY_API_MAX_KEEPALIVE_CONNECTIONS"
FILE = """
port: 1
log_level: INFO
clocks:
  tls_s: 2
api_keys: [a]
providers:
  - name: my-local.1
    type: lm_studio
  - name: open_ai
    type: openai
    timeout: 10
"""


def _merge(environ: dict[str, str], text: str = FILE, dot_env: str = "") -> Merged:
    variables = parse_dot_env(dot_env.encode(), ".env").variables
    return merge(tree_of(text), build_environment(environ, variables))


def _plain(environ: dict[str, str], text: str = FILE, dot_env: str = "") -> dict[str, object]:
    merged = _merge(environ, text, dot_env)
    assert merged.problems == ()
    plain: dict[str, object] = merged.tree.plain()
    return plain


def test_without_variables_nothing_changes() -> None:
    """The file's tree comes out as it went in."""
    tree = tree_of(FILE)
    assert merge(tree, {}).tree == tree


def test_a_variable_goes_before_the_file_and_before_dot_env() -> None:
    """The order is file, `.env`, environment; the winner's place is kept."""
    assert _plain({}, dot_env="PROXY_API_PORT=2")["port"] == 2
    merged = _merge({"PROXY_API_PORT": "3"}, dot_env="PROXY_API_PORT=2")
    node = merged.tree.find("port")
    assert node is not None
    assert (node.value, str(node.place)) == (3, "environment: PROXY_API_PORT")


def test_texts_become_values_of_the_settings_type() -> None:
    """Numbers, booleans, null and lists are read from text; text that looks like one stays text."""
    plain = _plain(
        {
            "PROXY_API_REQUEST_TIMEOUT": "1.5",
            "PROXY_API_DEBUG": "Yes",
            "PROXY_API_LOG_FILE": "null",
            "PROXY_API_APP_NAME": "123",
            "PROXY_API_API_KEYS": " a , 007,",
            "PROXY_API_CORS_ORIGINS": '["*"]',
        }
    )
    assert plain["request_timeout"] == 1.5
    assert plain["debug"] is True
    assert plain["log_file"] is None
    assert plain["app_name"] == "123"
    assert plain["api_keys"] == ["a", "007"]
    assert plain["cors_origins"] == ["*"]


def test_sections_and_providers_are_reached_into() -> None:
    """A double underscore leads into a section, and by name into a provider."""
    plain = _plain(
        {
            "PROXY_API_CLOCKS__IDLE_S": "7",
            "PROXY_API_LIMITS__MAX_EVENT_BYTES": "2048",
            "PROXY_API_PROVIDERS__MY_LOCAL_1__TIMEOUT": "600",
            "PROXY_API_PROVIDERS__OPEN_AI__CLOCKS__TLS_S": "9",
            "PROXY_API_PROVIDERS__OPEN_AI__HEADERS": '{"X-A": "b"}',
        }
    )
    assert plain["clocks"] == {"tls_s": 2, "idle_s": 7.0}
    assert plain["limits"] == {"max_event_bytes": 2048}
    assert plain["providers"] == [
        {"name": "my-local.1", "type": "lm_studio", "timeout": 600.0},
        {
            "name": "open_ai",
            "type": "openai",
            "timeout": 10,
            "clocks": {"tls_s": 9.0},
            "headers": {"X-A": "b"},
        },
    ]


@pytest.mark.parametrize(
    ("older", "setting", "text", "value"),
    [
        ("LOG_LEVEL", "log_level", "DEBUG", "DEBUG"),
        ("HEALTH_CHECK_INTERVAL", "health_check_interval", "9", 9),
        ("HEALTH_CHECK_CACHE_TTL", "health_check_cache_ttl", "9", 9),
        ("PROVIDER_DISCOVERY_INTERVAL", "provider_discovery_interval", "9", 9),
        ("HTTP_MAX_CONNECTIONS", "max_connections", "9", 9),
        ("HTTP_MAX_KEEPALIVE", "max_keepalive_connections", "9", 9),
        ("HTTP_TIMEOUT", "health_check_timeout", "9.5", 9.5),
    ],
)
def test_older_names(older: str, setting: str, text: str, value: object) -> None:
    """The unprefixed names are read; both prefixed forms go before them."""
    assert _plain({older: text})[setting] == value
    number = "INFO" if older == "LOG_LEVEL" else "5"
    prefixed = _plain({older: text, f"PROXY_API_{older}": number})
    assert str(prefixed[setting]).partition(".")[0] == number
    own = f"PROXY_API_{setting.upper()}"
    assert str(_plain({older: text, own: number})[setting]).partition(".")[0] == number


def test_the_master_key_is_one_more_admin_key() -> None:
    """LITELLM_MASTER_KEY is added to the admin keys, wherever those come from."""
    assert _plain({"LITELLM_MASTER_KEY": "m"})["admin_keys"] == ["m"]
    assert _plain({"LITELLM_MASTER_KEY": "m"}, "admin_keys: [a]")["admin_keys"] == ["a", "m"]
    both = {"LITELLM_MASTER_KEY": "m", "PROXY_API_ADMIN_KEYS": "b"}
    assert _plain(both, "admin_keys: [a]")["admin_keys"] == ["b", "m"]


def test_an_empty_variable_changes_nothing() -> None:
    """An empty or blank variable leaves the file's value."""
    assert _plain({"PROXY_API_PORT": " ", "LOG_LEVEL": ""}) == tree_of(FILE).plain()


def test_two_names_that_need_the_same_variable_are_a_problem() -> None:
    """Provider names that differ only in case or punctuation are refused, both lines named."""
    text = "providers:\n  - name: a-b\n  - name: A.b\n  - name: c\n"
    (problem,) = _merge({}, text).problems
    assert str(problem.place) == "config.yaml:3:11"
    assert "on line 2" in problem.what
    assert variable_part("a-b") == variable_part("A.b") == "A_B"


def test_a_variable_that_nothing_reads_gets_a_warning() -> None:
    """A mistyped PROXY_API_ name is reported with the name that was meant."""
    environ = {
        "PROXY_API_PROT": "1",
        "PROXY_API_PROVIDERS__OPEN_AI__TIMOUT": "1",
        "PROXY_API_API_KEY": "canary",
        "OTHER": "1",
    }
    warnings = [str(warning) for warning in _merge(environ).warnings]
    assert warnings == [
        "environment: PROXY_API_API_KEY: nothing reads this variable: "
        "did you mean PROXY_API_API_KEYS?",
        "environment: PROXY_API_PROT: nothing reads this variable: did you mean PROXY_API_PORT?",
        "environment: PROXY_API_PROVIDERS__OPEN_AI__TIMOUT: nothing reads this variable: "
        "did you mean PROXY_API_PROVIDERS__OPEN_AI__TIMEOUT?",
    ]


def test_variables_that_are_no_settings_get_no_warning() -> None:
    """Key variables, also of types not built yet, and the names of the start are known."""
    environ = dict.fromkeys(
        [
            "PROXY_API_ANTHROPIC_API_KEY",
            "PROXY_API_MASTER_SECRET",
            "PROXY_API_CONFIG",
            "PROXY_API_STATE",
            "PROXY_API_STATE_DIR",
            "PROXY_API_MY_TOKEN",
            "PROXY_API_OTHER",
        ],
        "x",
    )
    text = "providers:\n  - {name: a, api_key_env: PROXY_API_MY_TOKEN}\n"
    text += "  - {name: b, api_key: '${PROXY_API_OTHER}'}\n"
    assert _merge(environ, text).warnings == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PROXY_API_API_KEYS", "[canary"),
        ("PROXY_API_API_KEYS", '[["canary"]]'),
        ("PROXY_API_PROVIDERS__OPEN_AI__HEADERS", "canary"),
        ("PROXY_API_PROVIDERS__OPEN_AI__HEADERS", '["canary"]'),
        ("PROXY_API_API_KEYS", "[" * 100_000),
    ],
)
def test_lists_that_cannot_be_read_are_a_problem(name: str, text: str) -> None:
    """A list or mapping that is not what it should be is reported without its text."""
    (problem,) = _merge({name: text}).problems
    assert str(problem).startswith(f"environment: {name}: this value cannot be read")
    assert "canary" not in str(problem)


def test_a_file_of_another_shape_is_left_for_the_schema() -> None:
    """Where the file has something else than a section, it stays and is reported later."""
    environ = {"PROXY_API_CLOCKS__TLS_S": "1", "LITELLM_MASTER_KEY": "m"}
    text = "clocks: 5\nadmin_keys: {a: b}\nproviders: {a: b}\n"
    assert _plain(environ, text) == {
        "clocks": 5,
        "admin_keys": {"a": "b"},
        "providers": {"a": "b"},
    }
    assert _plain(environ, "clocks:\n")["clocks"] == {"tls_s": 1.0}
    assert merge(tree_of("- a\n"), {}).tree.plain() == ["a"]


def _chain(node: Node | None) -> list[tuple[object, str]]:
    chain: list[tuple[object, str]] = []
    while node is not None:
        chain.append((node.value, str(node.place)))
        node = node.replaced
    return chain


def test_what_was_replaced_is_kept_nearest_first() -> None:
    """Own, older prefixed and older name, each of environment and `.env`, then the file."""
    environ = {
        "PROXY_API_MAX_CONNECTIONS": "6",
        "PROXY_API_HTTP_MAX_CONNECTIONS": "5",
        "HTTP_MAX_CONNECTIONS": "4",
    }
    dot_env = "PROXY_API_MAX_CONNECTIONS=3\nHTTP_MAX_CONNECTIONS=2\nPROXY_API_PORT=x\n"
    merged = _merge(environ, "max_connections: 1\n", dot_env)
    assert _chain(merged.tree.find("max_connections")) == [
        (6, "environment: PROXY_API_MAX_CONNECTIONS"),
        (3, ".env:1:1: PROXY_API_MAX_CONNECTIONS"),
        (5, "environment: PROXY_API_HTTP_MAX_CONNECTIONS"),
        (4, "environment: HTTP_MAX_CONNECTIONS"),
        (2, ".env:2:1: HTTP_MAX_CONNECTIONS"),
        (1, "config.yaml:1:18"),
    ]


def test_what_is_added_replaces_nothing() -> None:
    """The master key joins a list, and the list goes on to know what it has replaced."""
    environ = {"LITELLM_MASTER_KEY": "m", "PROXY_API_ADMIN_KEYS": "b"}
    keys = _merge(environ, "admin_keys: [a]\n").tree.find("admin_keys")
    assert keys is not None
    assert keys.plain() == ["b", "m"]
    assert [place for _, place in _chain(keys)] == [
        "environment: PROXY_API_ADMIN_KEYS",
        "config.yaml:1:13",
    ]


def test_a_shadowed_variable_that_cannot_be_read_is_no_problem() -> None:
    """What does not count is not judged."""
    name = "PROXY_API_PROVIDERS__OPEN_AI__HEADERS"
    merged = _merge({name: '{"X-A": "b"}'}, dot_env=f"{name}=canary")
    assert merged.problems == ()


_NAMES = st.sampled_from(
    [
        "PROXY_API_PORT",
        "LOG_LEVEL",
        "PROXY_API_LOG_LEVEL",
        "PROXY_API_API_KEYS",
        "HTTP_TIMEOUT",
        "PROXY_API_HTTP_TIMEOUT",
        "PROXY_API_HEALTH_CHECK_TIMEOUT",
        "LITELLM_MASTER_KEY",
        "PROXY_API_CLOCKS__TLS_S",
        "PROXY_API_PROVIDERS__OPEN_AI__TIMEOUT",
        "PROXY_API_X",
        "PROXY_API_PROVIDERS__MY_LOCAL_1__MODELS",
        "PROXY_API_ADMIN_KEYS",
    ]
)
_TEXTS = st.dictionaries(_NAMES, st.text('0123456789,.[]"a nul', max_size=12), max_size=8)
_VARIABLES = st.builds(
    lambda environ, dot_env: build_environment(
        environ,
        {n: Variable(Secret(t), Place(".env", 1, 1, n)) for n, t in dot_env.items()},
    ),
    _TEXTS,
    _TEXTS,
)


@given(_VARIABLES, st.integers())
def test_merging_is_deterministic(environment: dict[str, Variable], seed: int) -> None:
    """The order in which variables are set makes no difference."""
    shuffled = list(environment.items())
    random.Random(seed).shuffle(shuffled)
    tree = tree_of(FILE)
    assert merge(tree, environment) == merge(tree, dict(shuffled))


@given(_VARIABLES)
def test_merging_twice_changes_nothing(environment: dict[str, Variable]) -> None:
    """The result, merged with the same environment again, is the same result."""
    once = merge(tree_of(FILE), environment)
    assert merge(once.tree, environment) == once


@given(st.integers(0, 65535), st.integers(0, 65535), st.booleans(), st.booleans())
def test_the_highest_source_wins(low: int, high: int, in_file: bool, in_real: bool) -> None:
    """Of file, `.env` and environment the highest that sets a value decides."""
    plain = _plain(
        {"PROXY_API_PORT": str(high)} if in_real else {},
        "port: 70000\n" if in_file else "debug: false\n",
        f"PROXY_API_PORT={low}",
    )
    assert plain["port"] == (high if in_real else low)


@given(st.lists(st.integers(1, 9), min_size=7, max_size=7), st.sets(st.integers(0, 6)))
def test_sources_win_in_their_order(numbers: list[int], given_by: set[int]) -> None:
    """File, older, older prefixed and own name, each of `.env` before the environment's."""
    names = ("HTTP_MAX_KEEPALIVE", "PROXY_API_HTTP_MAX_KEEPALIVE", SETTING_VARIABLE)
    environ, dot_env, text, expected = {}, "", "debug: false\n", None
    for source in sorted(given_by):
        expected = numbers[source]
        name = names[(source - 1) // 2]
        if source == 0:
            text = f"max_keepalive_connections: {expected}\n"
        elif source % 2:
            dot_env += f"{name}={expected}\n"
        else:
            environ[name] = str(expected)
    assert _plain(environ, text, dot_env).get("max_keepalive_connections") == expected
