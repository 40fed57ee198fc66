"""What is sealed comes back whole, or not at all."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.seal import SealBroken, Sealer

SEALER = Sealer(b"k" * 32)
OTHER = Sealer(b"o" * 32)


@given(st.binary(max_size=300), st.binary(max_size=20))
def test_what_is_sealed_comes_back(data: bytes, context: bytes) -> None:
    """Any bytes under any context open again, and two seals of the same bytes differ."""
    sealed = SEALER.seal(data, context)
    assert SEALER.open(sealed, context) == data
    assert SEALER.seal(data, context) != sealed


def test_nothing_of_it_can_be_read() -> None:
    """The sealed bytes do not hold the data."""
    assert b"a secret" not in SEALER.seal(b"this is a secret", b"1")


def test_every_damage_is_found() -> None:
    """One flipped bit anywhere, and any cut, is refused."""
    sealed = SEALER.seal(b"data", b"1")
    for index in range(len(sealed)):
        damaged = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
        for broken in (damaged, sealed[:index]):
            with pytest.raises(SealBroken):
                SEALER.open(broken, b"1")


def test_the_reason_is_told_apart() -> None:
    """Another key, another context, damage and strange bytes each have their words."""
    sealed = SEALER.seal(b"data", b"1")
    with pytest.raises(SealBroken, match="another master secret"):
        OTHER.open(sealed, b"1")
    with pytest.raises(SealBroken, match="another's place"):
        SEALER.open(sealed, b"2")
    with pytest.raises(SealBroken, match="damaged"):
        SEALER.open(sealed[:-1], b"1")
    with pytest.raises(SealBroken, match="not sealed by this program"):
        SEALER.open(b"", b"1")


def test_cryptography_is_loaded_on_first_use() -> None:
    """Importing the module and making a Sealer does not load cryptography."""
    code = (
        "import sys; from proxy.config.seal import Sealer; Sealer(b'k' * 32); "
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
