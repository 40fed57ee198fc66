"""Where the master secret comes from, what is derived from it, and that it is never shown."""

import os
import pickle
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.master_secret import MasterSecret, load_master_secret
from proxy.config.problem import ConfigError

SECRET = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4


@given(st.text(min_size=1, alphabet=st.characters(codec="utf-8")), st.text(alphabet="az /.1"))
def test_keys_are_those_of_rfc_5869(secret: str, purpose: str) -> None:
    """Every derived key is what cryptography's HKDF-SHA-256 makes of the same input."""
    reference = HKDF(SHA256(), 32, salt=b"llm-proxy-api 1", info=purpose.encode())
    assert MasterSecret(secret).derive(purpose) == reference.derive(secret.encode())


def test_each_purpose_has_a_key_of_its_own() -> None:
    """Purposes and secrets that differ give keys that differ."""
    keys = {MasterSecret(s).derive(p) for s in (SECRET, OTHER) for p in ("seal", "pepper")}
    assert len(keys) == 4


def test_the_secret_is_never_shown() -> None:
    """Neither printing nor pickling gives the secret away."""
    secret = MasterSecret(SECRET)
    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


def test_the_order_of_places(tmp_path: Path) -> None:
    """The variable goes before the credential, and that before the file; none is written then."""
    (tmp_path / "credentials").mkdir()
    credential = tmp_path / "credentials" / "master_secret"
    credential.write_text(f"{OTHER}\n")
    # systemd's access lists show up as rights of the group.
    credential.chmod(0o440)
    variables = {"CREDENTIALS_DIRECTORY": str(credential.parent)}
    state_dir = tmp_path / "state"
    by_credential = load_master_secret(variables, state_dir)
    by_variable = load_master_secret({**variables, "PROXY_API_MASTER_SECRET": SECRET}, state_dir)
    assert by_credential.derive("a") == MasterSecret(OTHER).derive("a")
    assert by_variable.derive("a") == MasterSecret(SECRET).derive("a")
    assert not state_dir.exists()


def test_a_secret_is_generated_once(tmp_path: Path) -> None:
    """Without any, a random one is kept with mode 0600 and found again; another place differs."""
    first = load_master_secret({}, tmp_path / "a" / "state").derive("x")
    again = load_master_secret({"CREDENTIALS_DIRECTORY": str(tmp_path)}, tmp_path / "a" / "state")
    other = load_master_secret({}, tmp_path / "b")
    path = tmp_path / "a" / "state" / "secret.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert again.derive("x") == first
    assert other.derive("x") != first


def test_a_short_secret_is_refused_without_being_shown(tmp_path: Path) -> None:
    """Less than 32 characters are refused with the place and the mend, and not repeated."""
    with pytest.raises(ConfigError) as caught:
        load_master_secret({"PROXY_API_MASTER_SECRET": "my-password"}, tmp_path)
    assert str(caught.value) == (
        "environment: PROXY_API_MASTER_SECRET: a master secret has at least 32 characters: "
        "set it to what 'openssl rand -hex 32' prints"
    )


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """An emptied secret.key is an error that names it, and no new secret takes its place."""
    load_master_secret({}, tmp_path)
    (tmp_path / "secret.key").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"secret\.key: .*at least 32 characters: put it back"):
        load_master_secret({}, tmp_path)
    assert (tmp_path / "secret.key").read_bytes() == b""


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """A secret.key that a group or anybody may read is refused with the chmod that mends it."""
    load_master_secret({}, tmp_path)
    for mode in (0o640, 0o604, 0o620):
        (tmp_path / "secret.key").chmod(mode)
        with pytest.raises(ConfigError, match="run 'chmod 600' on it"):
            load_master_secret({}, tmp_path)


def test_a_state_directory_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what could not be written, and where."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OSError, match=r"master secret cannot be written \(Permission.*secret.key"):
        load_master_secret({}, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        load_master_secret({}, tmp_path / "file")
