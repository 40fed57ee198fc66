"""Who asks: the caller behind a key, and the keyed hash that a key is looked up by."""

import hashlib
import hmac
from typing import Literal

from msgspec import Struct

from proxy.domain.settings import RateLimit

Role = Literal["user", "admin"]


class Caller(Struct, frozen=True):
    """The holder of a key. `key_id` is safe to log: it cannot be turned back into the key."""

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
    """Turn a presented key into the digest that snapshots are indexed by."""

    __slots__ = ("_keyed",)

    def __init__(self, pepper: bytes) -> None:
        self._keyed = hmac.new(pepper, digestmod="sha256")

    def digest(self, key: str) -> bytes:
        """Return HMAC-SHA-256(pepper, key): 32 bytes."""
        keyed = self._keyed.copy()
        keyed.update(key.encode("utf-8", "surrogatepass"))
        return keyed.digest()

    def key_id(self, key: str) -> str:
        """Return a short public name for a key, the same on every start."""
        text = b"llm-proxy key id\0" + key.encode("utf-8", "surrogatepass")
        return "key_" + hashlib.sha256(text).hexdigest()[:12]
