"""Tests of `proxy/domain/identity.py`."""

import hashlib
import hmac

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


def test_a_keys_name_is_the_same_under_any_pepper_and_tells_nothing() -> None:
    """`key_id` is short, stable, and neither the key nor its plain hash."""
    names = {KeyHasher(pepper).key_id("sk-secret") for pepper in (b"a", b"b")}
    assert len(names) == 1
    name = names.pop()
    assert len(name) == len("key_") + 12
    assert name.removeprefix("key_") not in hashlib.sha256(b"sk-secret").hexdigest()
