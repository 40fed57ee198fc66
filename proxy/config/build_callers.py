"""
`api_keys` and `admin_keys` -> the callers that a snapshot knows, by the digest of their key.

Keys that anybody could guess are let pass with a warning where only this machine can
reach the server, and refused everywhere else.
"""

import ipaddress
from collections.abc import Sequence

from msgspec import Struct

from proxy.config.node import Node
from proxy.config.problem import Problem
from proxy.config.schema import ConfigFile
from proxy.domain.identity import Caller, KeyHasher, Role

PLACEHOLDERS = frozenset(
    (
        "your-api-key-here", "your-api-key", "your-key", "sk-master-dev", "sk-your-key",
        "sk-your-master-key", "changeme-changeme", "replace-with-your-own-key",
    )
)  # fmt: skip
SHORTEST_KEY = 16
SHORTEST_ADMIN_KEY = 22
"""Characters that 128 random bits take in base64."""


class BuiltCallers(Struct, frozen=True):
    """The callers by digest, what is wrong with the keys, and what is doubtful."""

    callers: dict[bytes, Caller]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def build_callers(
    top: ConfigFile, tree: Node, hasher: KeyHasher, listen: Sequence[tuple[str, int]]
) -> BuiltCallers:
    """Return the callers of all static keys; a key in both lists is an admin's."""
    callers: dict[bytes, Caller] = {}
    weak: list[Problem] = []
    roles: tuple[tuple[str, Role, list[str], int], ...] = (
        ("api_keys", "user", top.api_keys, SHORTEST_KEY),
        ("admin_keys", "admin", top.admin_keys, SHORTEST_ADMIN_KEY),
    )
    for setting, role, keys, shortest in roles:
        for index, key in enumerate(keys):
            callers[hasher.digest(key)] = Caller(key_id=hasher.key_id(key), role=role)
            is_placeholder = key.lower() in PLACEHOLDERS
            if is_placeholder or len(key) < shortest:
                what = "is a placeholder" if is_placeholder else "is too short to be safe"
                mend = "replace it with what 'openssl rand -hex 32' prints"
                place = tree.place_of(setting, index)
                weak.append(Problem(place, f"{setting}: this key {what}", mend))
    warnings: list[Problem] = []
    if not callers:
        what = "there is no key, so every request is refused"
        mend = "add a key of your own to api_keys"
        warnings.append(Problem(tree.place_of("api_keys"), what, mend))
    if all(is_loopback(host) for host, _ in listen):
        return BuiltCallers(callers, (), (*warnings, *weak))
    return BuiltCallers(callers, tuple(weak), tuple(warnings))


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
