"""Tests of `proxy/domain/identity.py`."""

import hashlib
import hmac
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.domain.identity import KeyHasher


@given(st.text(st.characters()), st.binary(max_size=64))
def test_a_digest_is_the_keyed_hash_of_the_key(key: str, pepper: bytes) -> None:
    """The digest is HMAC-SHA-256 under the pepper, for any text a header can hold."""
    expected = hmac.digest(pepper, key.encode("utf-8", "surrogatepass"), "sha256")
    assert KeyHasher(pepper).digest(key) == expected


def test_digests_do_not_depend_on_what_was_hashed_before() -> None:
    """One hasher gives the same digest again and again."""
    hasher = KeyHasher(b"pepper")
    first = hasher.digest("a")
    hasher.digest("b")
    assert hasher.digest("a") == first


def test_bytes_that_are_no_text_are_a_wrong_key_and_no_failure() -> None:
    """A header of bytes that are no UTF-8 has a digest like any other."""
    assert len(KeyHasher(b"p").digest("\udcff\ud800")) == 32
    assert KeyHasher(b"p").key_id("\ud800").startswith("key_")
    assert KeyHasher(b"p").fingerprint("\ud800")


@pytest.mark.parametrize("show", [KeyHasher.key_id, KeyHasher.fingerprint])
def test_what_is_shown_of_a_key_cannot_be_guessed_at(
    show: Callable[[KeyHasher, str], str],
) -> None:
    """It is the same on every start, another under another pepper, and no plain hash."""
    first, again, other = (KeyHasher(pepper) for pepper in (b"a", b"a", b"b"))
    shown = show(first, "sk-secret")
    assert shown == show(again, "sk-secret")
    assert shown not in (show(other, "sk-secret"), show(first, "sk-secret2"))
    assert shown.removeprefix("key_") not in hashlib.sha256(b"sk-secret").hexdigest()
    assert shown.removeprefix("key_") not in first.digest("sk-secret").hex()


def test_names_and_fingerprints_are_short() -> None:
    """A key's name has twelve digits behind `key_`, a fingerprint six."""
    assert re.fullmatch(r"key_[0-9a-f]{12}", KeyHasher(b"p").key_id("k"))
    assert re.fullmatch(r"[0-9a-f]{6}", KeyHasher(b"p").fingerprint("k"))
