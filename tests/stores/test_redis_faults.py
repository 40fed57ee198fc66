"""Errors as Redis words them, of several versions: which are about Redis as a whole."""

import pytest

from proxy.stores.redis_faults import ReplyError


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("READONLY You can't write against a read only replica.", "refused", "replica"),
        (
            "READONLY You can't write against a read only replica. script: 9f, on @user_script:1.",
            "refused",
            "replica",
        ),
        (
            "ERR Error running script (call to f_9f): @user_script:1: @user_script: 1: "
            "-READONLY You can't write against a read only replica.",
            "refused",
            "replica",
        ),
        ("LOADING Redis is loading the dataset in memory", "refused", "loading"),
        ("MASTERDOWN Link with MASTER is down", "refused", "lost its master"),
        ("MOVED 3999 127.0.0.1:6381", "refused", "cluster"),
        ("CLUSTERDOWN Hash slot not served", "refused", "cluster"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "refused", "memory"),
        ("MISCONF Valkey is configured to save RDB snapshots, but", "refused", "save"),
        ("BUSY Redis is busy running a script.", "refused", "script"),
        ("ERR max number of clients reached", "refused", "clients"),
        ("NOAUTH Authentication required.", "denied", "asks for"),
        ("WRONGPASS invalid username-password pair", "denied", "knows no such user"),
        ("ERR invalid password", "denied", "knows no such user"),
        (
            "ERR AUTH <password> called without any password configured for the default user. "
            "Are you sure your configuration is correct? no password is set",
            "denied",
            "knows no such user",
        ),
        ("NOPERM User x has no permissions to run the 'set' command", "denied", "access list"),
        (
            "ERR ACL failure in script: No permissions to access a key script: 9f",
            "denied",
            "access list",
        ),
    ],
)
def test_what_is_wrong_with_redis_is_told_in_words(text: str, kind: str, words: str) -> None:
    """Each such error is a hard one, with a reason in words that quotes nothing of it."""
    fault = ReplyError(text).fault
    assert fault is not None
    assert fault.kind == kind
    assert words in fault.reason


@pytest.mark.parametrize(
    "text",
    [
        "NOSCRIPT No matching script. Please use EVAL.",
        "ERR unknown command 'FOO'",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR user_script:1: READONLY is a word of ours",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "",
    ],
)
def test_what_is_wrong_with_one_command_is_no_fault_of_redis(text: str) -> None:
    """Other errors say nothing about Redis."""
    assert ReplyError(text).fault is None


def test_the_code_is_the_first_word_also_where_a_script_wraps_it() -> None:
    """The code of a bare and of a wrapped error is the word in capitals before its text."""
    assert ReplyError("NOSCRIPT No matching script.").code == "NOSCRIPT"
    assert ReplyError("ERR Error running script (f_9f): -OOM command not allowed").code == "OOM"
