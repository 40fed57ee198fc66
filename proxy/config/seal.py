"""
Bytes -> sealed bytes that tell nobody what they hold, and that nobody can change or swap.

AES-256-GCM under a key that is derived from the master secret. A sealed text begins with
what it is and which key it takes, so that a wrong key is told apart from damage.
"""

import hashlib
import os
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MAGIC = b"LLMPROXY-SEAL-1\n"
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_HEAD_BYTES = len(_MAGIC) + _KEY_ID_BYTES


class SealBroken(Exception):
    """Sealed bytes cannot be opened; the text says why."""


class Sealer:
    """Seals and opens with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._head = _MAGIC + hashlib.sha256(b"llm-proxy seal id\0" + key).digest()[:_KEY_ID_BYTES]

    def seal(self, data: bytes, context: bytes) -> bytes:
        """
        Return `data` sealed; it opens only with the same key and the same context.

        Args:
            data: any bytes.
            context: what the data belongs to, such as a generation; it is not hidden.

        Source: NIST SP 800-38D. Random nonces of 96 bits are good for 2^32 seals of one key.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return self._head + nonce + self._cipher.encrypt(nonce, data, self._head + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """
        Return what was sealed.

        Raises:
            SealBroken: it is none of ours, was sealed with another key, or is damaged.
        """
        from cryptography.exceptions import InvalidTag

        if not sealed.startswith(_MAGIC):
            raise SealBroken("this was not sealed by this program, or its beginning is damaged")
        if sealed[:_HEAD_BYTES] != self._head:
            raise SealBroken("this was sealed with another master secret")
        body = sealed[_HEAD_BYTES:]
        try:
            return self._cipher.decrypt(
                body[:_NONCE_BYTES], body[_NONCE_BYTES:], self._head + context
            )
        except (InvalidTag, ValueError):
            # ValueError: cut off within the nonce.
            raise SealBroken("this is damaged, cut off, or was put in another's place") from None

    @cached_property
    def _cipher(self) -> "AESGCM":
        # Imported on first use: most commands that know a Sealer never open anything.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)
