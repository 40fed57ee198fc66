"""
`api_keys` and `admin_keys` -> the callers that a snapshot knows, by the digest of their key.

Users' keys that anybody could guess are let pass with a warning where only this machine
can reach the server, and refused everywhere else; such admin keys are refused everywhere.
"""

import ipaddress
from collections.abc import Iterator, Sequence

from msgspec import Struct

from proxy.config.key_schema import ApiKeyEntry
from proxy.config.node import Node
from proxy.config.problem import Place, Problem
from proxy.config.schema import ConfigFile
from proxy.config.validate import CheckedProvider
from proxy.domain.catalog import Snapshot
from proxy.domain.identity import Caller, KeyHasher
from proxy.domain.settings import RateLimit
from proxy.policy.limits import build_rate_limit

PLACEHOLDERS = frozenset(
    (
        "your-api-key-here", "your-admin-key-here", "your-api-key", "your-key", "sk-master-dev",
        "sk-your-key", "sk-your-master-key", "sk-1234", "changeme-changeme",
        "replace-with-your-own-key",
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
    return _CallerBuilder(top, tree, hasher).build(listen)


def find_unknown_models(top: ConfigFile, tree: Node, snapshot: Snapshot) -> Iterator[Problem]:
    """Yield a warning for each name that a key may ask for and that stands for nothing."""
    for index, entry in enumerate(top.api_keys):
        for number, name in enumerate(entry.models or ()):
            if snapshot.find_group(name) is None:
                yield Problem(
                    tree.place_of("api_keys", index, "models", number),
                    "models: this name stands for nothing that is in service",
                    "write it as clients do: an alias, a model or provider/model that there is",
                )


def find_unknown_owners(
    providers: Sequence[CheckedProvider], tree: Node, snapshot: Snapshot
) -> Iterator[Problem]:
    """Yield a warning for each provider whose files are said to be of nobody who has a key."""
    for checked in providers:
        owner = checked.entry.files_organization
        if owner is not None and owner not in snapshot.organizations:
            yield Problem(
                tree.place_of(*checked.steps, "files_organization"),
                "files_organization: no key of api_keys is of this organization",
                "name one that is some key's organization_id, or remove the line",
            )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _CallerBuilder:
    """Collects callers and what is wrong with their keys."""

    def __init__(self, top: ConfigFile, tree: Node, hasher: KeyHasher) -> None:
        self._top = top
        self._tree = tree
        self._hasher = hasher
        self._callers: dict[bytes, Caller] = {}
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    def build(self, listen: Sequence[tuple[str, int]]) -> BuiltCallers:
        is_local = all(is_loopback(host) for host, _ in listen)
        places: dict[bytes, Place] = {}
        for index, entry in enumerate(self._top.api_keys):
            place = self._place_of_key(index)
            digest = self._hasher.digest(entry.key)
            self._callers[digest] = self._build_user(entry, index)
            if digest in places:
                self._problems.append(_repeat(place, places[digest]))
            places.setdefault(digest, place)
            if weak := _find_weakness("api_keys", entry.key, SHORTEST_KEY, place):
                (self._warnings if is_local else self._problems).append(weak)
        for index, key in enumerate(self._top.admin_keys):
            caller = Caller(key_id=self._hasher.key_id(key), role="admin")
            self._callers[self._hasher.digest(key)] = caller
            place = self._tree.place_of("admin_keys", index)
            if weak := _find_weakness("admin_keys", key, SHORTEST_ADMIN_KEY, place):
                self._problems.append(weak)
        if not self._callers:
            what = "there is no key, so every request is refused"
            mend = "add a key of your own to api_keys"
            self._warnings.insert(0, Problem(self._tree.place_of("api_keys"), what, mend))
        return BuiltCallers(self._callers, tuple(self._problems), tuple(self._warnings))

    def _build_user(self, entry: ApiKeyEntry, index: int) -> Caller:
        return Caller(
            key_id=self._hasher.key_id(entry.key),
            organization_id=entry.organization_id,
            models=None if entry.models is None else frozenset(entry.models),
            rate_limit=self._build_limit(entry, index),
        )

    def _build_limit(self, entry: ApiKeyEntry, index: int) -> RateLimit | None:
        """Return the key's own limit, None if the global one holds for it."""
        if entry.rate_limit_rpm is None and entry.rate_limit_window is None:
            return None
        rpm = entry.rate_limit_rpm or self._top.rate_limit_rpm
        if rpm is None:
            place = self._tree.place_of("api_keys", index, "rate_limit_window")
            what = "rate_limit_window: this has no effect, because there is no rate_limit_rpm"
            self._warnings.append(Problem(place, what, "add rate_limit_rpm, or remove it"))
            return None
        return build_rate_limit(rpm, entry.rate_limit_window or self._top.rate_limit_window)

    def _place_of_key(self, index: int) -> Place:
        return self._tree.place_of("api_keys", index, "key")


def _find_weakness(setting: str, key: str, shortest: int, place: Place) -> Problem | None:
    is_placeholder = key.lower() in PLACEHOLDERS
    if not is_placeholder and len(key) >= shortest:
        return None
    what = "is a placeholder" if is_placeholder else "is too short to be safe"
    mend = "replace it with what 'openssl rand -hex 32' prints"
    return Problem(place, f"{setting}: this key {what}", mend)


def _repeat(place: Place, first: Place) -> Problem:
    where = f"on line {first.line}" if first.line else "in the same list"
    return Problem(place, f"api_keys: this key was given before, {where}", "keep one of the two")
