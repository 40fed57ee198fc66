"""Holding a tree to the schema, with every mistake at its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.parse import parse_yaml
from proxy.config.setting import list_settings
from proxy.config.validate import Checked, validate
from tests.config.loading import tree_of


def _problems(text: str) -> list[str]:
    return [str(p).removeprefix("config.yaml:") for p in validate(tree_of(text)).problems]


def test_a_good_tree_has_no_problems() -> None:
    """What is right comes out checked, providers and routes with the way to them."""
    text = "port: 1\nproviders:\n  - {name: a, type: openai}\nroutes:\n"
    text += "  - {alias: b, targets: [{provider: a, model: m}]}\n"
    checked = validate(tree_of(text))
    assert checked.problems == ()
    assert checked.top.port == 1
    assert checked.providers[0].steps == ("providers", 0)
    assert checked.routes[0].entry.targets[0].model == "m"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("app_name: no", "1:11: app_name: text is needed here: put it into quotes: YAML reads no"),
        ("app_name: 5", "1:11: app_name: text is needed here: put the value into quotes"),
        ("port: '1'", "1:7: port: a whole number is needed here: write plain digits"),
        ("port: 1.5", "1:7: port: a whole number is needed here"),
        ("port: 70000", "1:7: port: this number is out of range: use at most 65535"),
        (
            "request_timeout: 0",
            "1:18: request_timeout: this number is out of range: use more than 0",
        ),
        ("request_timeout: 1e3", "1:18: request_timeout: a number is needed here"),
        ("debug: 'true'", "1:8: debug: true or false is needed here"),
        ("api_keys: a", "1:11: api_keys: a list is needed here: write '- ' before each item"),
        ("api_keys:", "1:10: api_keys: a list is needed here, and there is nothing"),
        ("clocks: 5", "1:9: clocks: a section with keys is needed here"),
        ("clocks: {tls: 5}", "1:10: the key 'tls' is not known here: did you mean 'tls_s'?"),
        ("prot: 5", "1:1: the key 'prot' is not known here: did you mean 'port'?"),
        ("zzz: 5", "1:1: the key 'zzz' is not known here: remove it, or see docs/configuration.md"),
        ("sk-canary: 5", "1:1: the key (name not shown) is not known here"),
        ("log_level: LOUD", "1:12: log_level: this value is not known: use 'DEBUG', 'INFO'"),
        ("end_of_config: false", "1:16: end_of_config: this value is not known: use true"),
        ("listen: []", "1:9: listen: this is empty"),
        ("app_name: ''", "1:11: app_name: this is empty"),
        (f"app_name: {'x' * 101}", "1:11: app_name: this text is too long: use at most 100"),
        ("api_keys: [a, 'b c']", "1:15: api_keys: this key cannot be sent in a header"),
        ("providers: 5", "1:12: a list is needed here"),
        ("providers:", "1:11: a list is needed here, and there is nothing"),
        ("providers: [5]", "1:13: providers: a section with keys is needed here"),
        ("providers: [{type: openai}]", "1:13: 'name' is missing here: add a line 'name: ...'"),
        (
            "providers: [{name: a, type: opnai}]",
            "1:29: type: this provider type is not known: did you mean 'openai'?",
        ),
        (
            "providers: [{name: a, type: claude}]",
            "1:29: type: this provider type is not known: did you mean 'anthropic'?",
        ),
        (
            "providers: [{name: a, type: zzzz}]",
            "1:29: type: this provider type is not known: the types are anthropic, azure,",
        ),
        (
            "providers: [{name: a, type: openai, headers: {Host: a}}]",
            "1:47: headers: this header is set by the proxy itself",
        ),
        (
            'providers: [{name: a, type: openai, headers: {X-A: "a\\nb"}}]',
            "1:52: headers: this is not a header value",
        ),
        (
            "providers: [{name: a, type: openai, models: [no]}]",
            "1:46: models: text is needed here: put it into quotes: YAML reads no",
        ),
        (
            "providers: [{name: a, type: openai, clocks: {idle: 1}}]",
            "1:46: the key 'idle' is not known here: did you mean 'idle_s'?",
        ),
        (
            "providers: [{name: a, type: openai, ssl_verify: false}]",
            "1:37: the key 'ssl_verify' is not known here: certificates are always verified; "
            "an authority of your own goes into 'ca_file'",
        ),
        (
            "providers: [{name: a, type: openai, CA_BUNDLE: /a}]",
            "1:37: the key 'CA_BUNDLE' is not known here: certificates are always verified; ",
        ),
        (
            "providers: [{name: a, type: openai, proxy_url: 'http://p'}]",
            "1:37: the key 'proxy_url' is not known here: a proxy goes into 'proxy', "
            "with 'transport: aiohttp'",
        ),
        (
            "tls: false",
            "1:1: the key 'tls' is not known here: remove it, or see docs/configuration.md",
        ),
        (
            "providers: [{name: a, type: openai, ca_file: ''}]",
            "1:46: ca_file: this is empty: write a path, or remove the key",
        ),
        (
            "providers: [{name: a, type: openai, ca_file: certs/own.pem}]",
            "1:46: ca_file: this is not an absolute path: write it from '/', as in "
            "'/etc/ssl/company.pem'",
        ),
        (
            "providers: [{name: a, type: openai, model_info: {m: {max_inputs_tokens: 1}}}]",
            "1:54: the key 'max_inputs_tokens' is not known here: did you mean 'max_input_tokens'?",
        ),
        (
            "providers: [{name: a, type: openai, model_info: {m: 5}}]",
            "1:53: m: a section with keys is needed here",
        ),
        (
            "providers: [{name: a, type: openai, model_info: "
            "{m: {input_usd_per_million_tokens: 0.0000001}}}]",
            "1:84: input_usd_per_million_tokens: this price is finer than a millionth of a dollar",
        ),
        (
            "redis_url: 'redis://h?socket_timeout=5'",
            "1:12: redis_url: this URL has the option 'socket_timeout' in its query, which is not "
            "known: it can hold db",
        ),
        (
            "redis_url: 'http://h'",
            "1:12: redis_url: this URL is no address of a Redis: write redis://host:6379/0",
        ),
        (
            "routes: [{alias: a, targets: [{provider: b}]}]",
            "1:31: 'model' is missing here",
        ),
        (
            "routes: [{alias: a, targets: [{provider: b, model: c, wieght: 1}]}]",
            "1:55: the key 'wieght' is not known here: did you mean 'weight'?",
        ),
        ("just text", "1:1: the file holds no settings"),
        ("[1]", "1:1: the file holds no settings"),
    ],
)
def test_one_mistake(text: str, start: str) -> None:
    """A mistake is one problem at the exact line and column, with the way out."""
    (problem,) = _problems(text)
    assert problem.startswith(start)


def test_names_given_twice() -> None:
    """Providers, aliases, models and targets that are given twice are refused."""
    text = """
providers:
  - {name: a, type: openai, models: [m, m]}
  - {name: a, type: openai}
routes:
  - {alias: r, targets: [{provider: a, model: m}, {provider: a, model: m, weight: 2}]}
  - {alias: r, targets: [{provider: a, model: n}]}
"""
    assert [problem.partition(": keep")[0] for problem in _problems(text)] == [
        "4:12: this provider name was given before, on line 3",
        "7:13: this alias was given before, on line 6",
        "3:41: this model was given before, on line 3",
        "6:51: this target was given before, on line 6",
    ]


def test_variables_are_read_in_secrets_of_providers_only() -> None:
    """`${VAR}` but in a provider's `api_key` and `proxy` is refused: nothing would expand it."""
    text = """
api_keys: ["${A}"]
providers:
  - {name: a, type: openai, api_key: "${B}", base_url: "http://x/${C}", headers: {X-A: "${D}"}}
"""
    assert [problem.partition(": write")[0] for problem in _problems(text)] == [
        "2:12: api_keys: a '${...}' is only read in a provider's api_key and proxy",
        "4:56: base_url: a '${...}' is only read in a provider's api_key and proxy",
        "4:88: headers: a '${...}' is only read in a provider's api_key and proxy",
    ]


def test_a_mistake_does_not_hide_the_rest_of_its_entry() -> None:
    """An entry with a mistake is kept without it, marked, so that later checks see the rest."""
    checked = validate(
        tree_of("providers:\n  - {name: a, type: openai, timeout: x, models: [m]}\n")
    )
    (provider,) = checked.providers
    assert provider.entry.models == ["m"]
    assert not provider.is_sound


_WORDS = st.sampled_from([s.path.rpartition(".")[2] for s in list_settings()] + ["x", "sk-canary"])
_VALUES = st.sampled_from(
    [
        "1",
        "no",
        "x",
        "null",
        "[]",
        "{}",
        "[x]",
        "{x: 1}",
        "-1",
        "1.5",
        "openai",
        '"${X}"',
        "'*'",
        "[{name: a, type: openai}]",
        "[{alias: a, targets: [{provider: a, model: b}]}]",
    ]
)


@given(st.lists(st.tuples(_WORDS, _VALUES), max_size=8), st.booleans())
def test_any_tree_is_checked(pairs: list[tuple[str, str]], in_provider: bool) -> None:
    """Whatever a file says is checked without an exception, and each problem has its line."""
    lines = [f"{key}: {value}" for key, value in dict(pairs).items()]
    text = "{" + ", ".join(lines) + "}"
    parsed = parse_yaml((f"providers: [{text}]" if in_provider else text).encode(), "f")
    assert parsed.tree is not None
    checked: Checked = validate(parsed.tree)
    assert all(problem.place.line == 1 for problem in checked.problems)
