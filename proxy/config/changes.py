"""
What differs between two configurations, in words that an operator reads in a log line.

Pure, and made of effective values: no secret can be in it, only that one has changed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proxy.config.effective import EffectiveValue
from proxy.domain.settings import InstallSettings

MAX_CHANGES = 200
MAX_ITEMS = 5
MAX_TEXT = 80

_LISTS = {"providers": ("name", "provider"), "routes": ("alias", "route")}
_STORES = {"database_url", "redis_url"}

Values = Mapping[str, EffectiveValue]


def describe_changes(
    before: Sequence[EffectiveValue], after: Sequence[EffectiveValue]
) -> tuple[str, ...]:
    """
    Return a line for each change, sorted, the same for the same two configurations.

    A value that has only moved to another source is no change, and neither is the order of
    providers and routes. More than 200 lines end in one that counts the rest.
    """
    old, new = _group(before), _group(after)
    lines = list(_compare("", old.pop("", {}), new.pop("", {})))
    for owner in sorted({*old, *new}):
        if owner not in new:
            lines.append(f"{owner} removed")
        elif owner not in old:
            lines.append(f"{owner} added{_count_models(new[owner])}")
        else:
            lines.extend(_compare(f"{owner}: ", old[owner], new[owner]))
    lines.sort()
    if len(lines) > MAX_CHANGES:
        lines = [*lines[:MAX_CHANGES], f"and {len(lines) - MAX_CHANGES} more"]
    return tuple(lines)


def list_needs_restart(running: InstallSettings, wanted: InstallSettings) -> tuple[str, ...]:
    """Return a line for each setting that a restart would change, in the words of its key."""
    lines = []
    for field in InstallSettings.__struct_fields__:
        old, new = getattr(running, field), getattr(wanted, field)
        if old == new:
            continue
        name = field.removesuffix("_s")
        if name in _STORES:
            lines.append(f"{name} changed")
        elif name == "listen" and len(old) == len(new) == 1:
            pairs = zip(("host", "port"), old[0], new[0], strict=True)
            lines.extend(f"{key}: {a} -> {b}" for key, a, b in pairs if a != b)
        else:
            lines.append(f"{name}: {_show(_plain(old))} -> {_show(_plain(new))}")
    return tuple(lines)


def _group(values: Sequence[EffectiveValue]) -> dict[str, dict[str, EffectiveValue]]:
    """Return the values by whose they are (`provider groq`, "" for the top), then by key."""
    owners: dict[str, str] = {}
    for value in values:
        for top, (key, word) in _LISTS.items():
            if value.path == f"{top}.{value.value}.{key}":
                owners[value.path.removesuffix(key)] = f"{word} {value.value}"
    groups: dict[str, dict[str, EffectiveValue]] = {"": {}}
    for value in values:
        prefix = _find_prefix(value.path, owners)
        group = groups.setdefault(owners.get(prefix, ""), {})
        group[value.path.removeprefix(prefix)] = value
    return groups


def _find_prefix(path: str, owners: Mapping[str, str]) -> str:
    """Return the beginning of a path that is its owner's; names may hold dots themselves."""
    end = len(path)
    while (end := path.rfind(".", 0, end)) > 0:
        if path[: end + 1] in owners:
            return path[: end + 1]
    return ""


def _compare(prefix: str, old: Values, new: Values) -> Iterator[str]:
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        a, b = (None if v is None else v.value for v in (before, after))
        if a == b:
            continue
        is_secret = any(v is not None and v.is_secret for v in (before, after))
        if isinstance(a or b, list) and isinstance(a or [], list) and isinstance(b or [], list):
            yield f"{prefix}{key}{_compare_lists(a or [], b or [], is_secret=is_secret)}"
        elif is_secret:
            yield f"{prefix}{key} changed"
        else:
            yield f"{prefix}{key}: {_show(a)} -> {_show(b)}"


def _compare_lists(old: list[Any], new: list[Any], *, is_secret: bool) -> str:
    gone = [item for item in old if item not in new]
    come = [item for item in new if item not in old]
    if not gone and not come:
        return ": another order"
    if is_secret or any(isinstance(item, dict | list) for item in (*gone, *come)):
        return f": {len(come)} added, {len(gone)} removed"
    parts = [(f"added {_join(come)}") if come else "", f"removed {_join(gone)}" if gone else ""]
    return " " + ", ".join(filter(None, parts))


def _join(items: list[Any]) -> str:
    shown = ", ".join(_show(item) for item in items[:MAX_ITEMS])
    return f"{shown} and {len(items) - MAX_ITEMS} more" if len(items) > MAX_ITEMS else shown


def _count_models(values: Values) -> str:
    models = values.get("models")
    count = len(models.value) if models is not None and isinstance(models.value, list) else 0
    return f" ({count} model{'s' if count != 1 else ''})" if count else ""


def _show(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."


def _plain(value: Any) -> Any:
    """Return addresses as they are written: `host:port`."""
    if not isinstance(value, tuple):
        return value
    hosts = ((f"[{host}]" if ":" in host else host, port) for host, port in value)
    return [f"{host}:{port}" for host, port in hosts]
