"""Who asks: the caller behind a key, and the keyed hash that a key is looked up by."""

import hmac
from typing import Literal

from msgspec import Struct

from proxy.domain.settings import RateLimit

Role = Literal["user", "admin"]


class Caller(Struct, frozen=True, gc=False):
    """The holder of a key. `key_id` is safe to log: see `KeyHasher.key_id`."""

    key_id: str
    organization_id: str = "default"
    role: Role = "user"
    models: frozenset[str] | None = None
    """The names that this key may ask for; None is all of them."""
    rate_limit: RateLimit | None = None
    """None is the one of `Settings`."""

    def may_ask_for(self, name: str) -> bool:
        """Return whether this key may ask for a model by that name."""
        return self.models is None or name in self.models


class KeyHasher:
    """
    Turn keys and other secrets into what may be kept or shown of them.

    All of it is keyed by the pepper of the installation: without that, nobody can find out
    whether a guess was right, however short the secret is.
    """

    __slots__ = ("_keyed",)

    def __init__(self, pepper: bytes) -> None:
        self._keyed = hmac.new(pepper, digestmod="sha256")

    def digest(self, key: str) -> bytes:
        """Return HMAC-SHA-256(pepper, key): the 32 bytes that snapshots are indexed by."""
        return self._sign(b"", key)

    def key_id(self, key: str) -> str:
        """Return a short public name for a key, the same for as long as the pepper is."""
        return "key_" + self._sign(b"llm-proxy key id\0", key).hex()[:12]

    def fingerprint(self, text: str) -> str:
        """Return six digits that change with a secret, to show a change of it without it."""
        return self._sign(b"llm-proxy fingerprint\0", text).hex()[:6]

    def _sign(self, purpose: bytes, text: str) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(purpose + text.encode("utf-8", "surrogatepass"))
        return keyed.digest()
