"""Tests of the command line."""

import pytest

from bench.cli import OWN, build_command_text, build_systems, find_skipped_rows, read_options


def test_without_options_everything_is_measured_three_times() -> None:
    """The default is all rows of the yardsticks and of all our own proxies in three rounds."""
    options = read_options([], {})
    assert options.systems == (
        *("direct", "bare", "nginx"),
        *("proxy", "proxy-2", "proxy-aiohttp", "proxy-redis"),
    )
    assert options.rows == (
        *("single", "busy", "paced", "first", "wide", "large", "tls", "tls-paced"),
        *("messages", "chat-anthropic", "messages-openai", "chat-gemini"),
        *("cold", "reload", "retries"),
    )
    assert (options.rounds, options.is_quick, options.writes) == (3, False, True)


@pytest.mark.parametrize(
    ("argv", "environment", "expected"),
    [
        (["--quick"], {}, (1, True)),
        ([], {"QUICK": "1"}, (1, True)),
        ([], {"QUICK": "0", "ROUNDS": "5"}, (5, False)),
        (["--rounds", "2"], {"QUICK": "1", "ROUNDS": "5"}, (2, True)),
    ],
)
def test_rounds_come_from_option_then_environment(
    argv: list[str], environment: dict[str, str], expected: tuple[int, bool]
) -> None:
    """An option wins over the environment, and a quick run has one round unless told."""
    options = read_options(argv, environment)
    assert expected == (options.rounds, options.is_quick)


def test_peers_join_the_usual_systems() -> None:
    """PEERS=litellm adds LiteLLM behind all that is usual, and PEERS=all every peer."""
    options = read_options([], {"PEERS": "litellm"})
    assert [system.name for system in build_systems(options)] == [*OWN, "litellm"]
    everything = read_options([], {"PEERS": "all"})
    assert everything.systems == (*OWN, "haproxy", "litellm", "portkey")


def test_chosen_systems_and_rows_are_kept_in_order() -> None:
    """Only what was named is measured, each name once."""
    options = read_options(["--systems", "proxy, bare,proxy", "--rows", "busy"], {})
    assert options.systems == ("proxy", "bare")
    assert options.rows == ("busy",)


@pytest.mark.parametrize(
    ("argv", "environment", "words"),
    [
        (["--systems", "caddy"], {}, "--systems names 'caddy'; choose from direct, bare"),
        (["--rows", "p50"], {}, "--rows names 'p50'; choose from single, busy"),
        ([], {"PEERS": "caddy"}, "PEERS names 'caddy'; choose from haproxy, litellm"),
        (["--rounds", "0"], {}, "rounds is '0'; it must be a whole number from 1 on"),
        ([], {"ROUNDS": "many"}, "rounds is 'many'"),
    ],
)
def test_a_wrong_option_says_what_is_allowed(
    argv: list[str],
    environment: dict[str, str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The program ends with status 2 and names the allowed values."""
    with pytest.raises(SystemExit) as caught:
        read_options(argv, environment)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_without_nginx_nothing_is_measured_behind_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that need it are left out with the reason, the others are not."""
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    skipped = find_skipped_rows(["busy", "tls", "tls-paced"])
    assert list(skipped) == ["tls", "tls-paced"]
    assert "nginx" in skipped["tls"]


def test_the_printed_command_repeats_the_run_without_local_paths() -> None:
    """The command names every choice but not the text of a command of one's own."""
    argv = ["--quick", "--systems", "proxy", "--rows", "busy", "--proxy-command", "/opt/our/run"]
    text = build_command_text(read_options(argv, {}))
    assert text == (
        "python -m bench --rounds 1 --systems proxy --rows busy --quick --proxy-command ..."
    )
