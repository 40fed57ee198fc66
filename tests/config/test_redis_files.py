"""Files that `redis_url` names and that are not on this machine."""

import os
from pathlib import Path

import pytest

from tests.config.loading import GOOD_KEY, load_text, warnings_of

REST = f"""
api_keys: [{GOOD_KEY}]
providers:
  - {{name: sim, type: simulator, models: [sim-echo]}}
"""
CANARY = "canary-2f6d"


def warnings_for(folder: Path, url: str) -> list[str]:
    """Return what is doubtful about a configuration with this URL, without the path of `folder`."""
    loaded = load_text(folder, f"redis_url: '{url}'\n{REST}")
    return [text.replace(f"{folder}/", "") for text in warnings_of(loaded)]


def test_each_missing_file_is_named(tmp_path: Path) -> None:
    """One warning for each, with its option and its path, and nothing of the password."""
    (tmp_path / "k.pem").touch()
    url = (
        f"rediss://user:{CANARY}@cache?ssl_ca_certs={tmp_path}/ca.pem"
        f"&ssl_certfile={tmp_path}/k.pem/c.pem&ssl_keyfile={tmp_path}/k.pem"
    )
    warnings = warnings_for(tmp_path, url)
    assert warnings == [
        "config.yaml:1:12: redis_url: the file of ssl_ca_certs does not exist here: 'ca.pem': "
        "put it there, or correct the path",
        "config.yaml:1:12: redis_url: the file of ssl_certfile does not exist here: 'k.pem/c.pem': "
        "put it there, or correct the path",
    ]
    assert CANARY not in str(warnings)


def test_of_a_socket_the_folder_is_looked_for(tmp_path: Path) -> None:
    """Redis may come later and make its socket, but not in a folder that is not there."""
    assert warnings_for(tmp_path, f"unix://user:{CANARY}@{tmp_path}/redis.sock") == []
    warnings = warnings_for(tmp_path, f"unix://user:{CANARY}@{tmp_path}/redsi/redis.sock")
    assert warnings == [
        "config.yaml:1:12: redis_url: the folder of its socket does not exist here: 'redsi': "
        "correct the path, or install the Redis that makes it"
    ]


def test_a_path_that_cannot_be_is_missing(tmp_path: Path) -> None:
    """A byte that no path can hold makes a warning, and no fault."""
    (warning,) = warnings_for(tmp_path, "unix:///run%00/redis.sock")
    assert "the folder of its socket does not exist" in warning


def test_who_may_not_look_does_not_say_that_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever checks a configuration need not be the user that serves it."""

    def deny(path: str) -> os.stat_result:
        raise PermissionError(path)

    with monkeypatch.context() as patched:
        patched.setattr("proxy.config.redis_files.os.stat", deny)
        warnings = warnings_for(tmp_path, "unix:///secret/redis.sock")
    assert warnings == []


@pytest.mark.parametrize("url", ["redis://cache", "rediss://cache:1/2"])
def test_an_address_without_files_is_not_looked_up(tmp_path: Path, url: str) -> None:
    """A Redis somewhere else needs nothing of this machine."""
    assert warnings_for(tmp_path, url) == []
