"""A Lua script as Redis is asked to run it. What scripts do stands in the `.lua` files beside."""

import hashlib
from importlib import resources

from msgspec import Struct


class Script(Struct, frozen=True):
    """One script: Redis is told its digest, and its source only when it does not know it."""

    name: str
    source: str
    sha1: str


def build_script(name: str, source: str) -> Script:
    """Build a script from its source; the digest is what Redis knows it by."""
    digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, digest)


def read_script(name: str, *before: str) -> Script:
    """Read `<name>.lua`, which stands in this package, behind others that it needs."""
    folder = resources.files("proxy.stores")
    sources = [folder.joinpath(f"{each}.lua").read_text("utf-8") for each in (*before, name)]
    return build_script(name, "\n".join(sources))
