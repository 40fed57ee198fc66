"""Files of authorities that providers name and that nothing can be trusted by."""

from pathlib import Path

import pytest

from tests.config.loading import GOOD_KEY, load_text, warnings_of
from tests.fakes.trust import CERTIFICATES


def warnings_for(folder: Path, ca_file: Path, more: str = "") -> list[str]:
    """Return what is doubtful about a provider with this file, without the path of `folder`."""
    loaded = load_text(
        folder,
        f"""
api_keys: [{GOOD_KEY}]
providers:
  - name: own
    type: openai_compatible
    base_url: https://127.0.0.1/v1
    models: [m]
    ca_file: {ca_file}
    {more}
""",
    )
    return [text.removeprefix(f"{folder}/") for text in warnings_of(loaded)]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("none.pem", "No such file or directory"),
        ("", "Is a directory"),
        ("server.key", "no certificate or crl found"),
    ],
)
def test_a_file_without_certificates_is_warned_of(tmp_path: Path, name: str, fault: str) -> None:
    """The warning stands at the key and has the reason; the configuration is good all the same."""
    assert warnings_for(tmp_path, CERTIFICATES / name) == [
        f"config.yaml:8:14: ca_file: this file cannot be read, or holds no certificate ({fault}): "
        "name a PEM file that the server's user can read"
    ]


def test_a_good_file_is_not_warned_of(tmp_path: Path) -> None:
    """A PEM file with a certificate passes without a word."""
    assert warnings_for(tmp_path, CERTIFICATES / "ca.pem") == []


def test_who_is_switched_off_needs_no_file(tmp_path: Path) -> None:
    """The file of a provider that is out of service is not looked at."""
    assert warnings_for(tmp_path, tmp_path / "none.pem", "enabled: false") == []
