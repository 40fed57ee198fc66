"""
What differs between two configurations, in words that an operator reads in a log line.

Pure, and made of effective values: no secret can be in it, only that one has changed.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from proxy.config.effective import EffectiveValue
from proxy.config.problem import DEFAULT_PLACE
from proxy.domain.settings import InstallSettings

MAX_CHANGES = 200
MAX_ITEMS = 5
MAX_TEXT = 80

_LISTS = {"providers": ("name", "provider"), "routes": ("alias", "route")}
_STORES = {"database_url", "redis_url"}
_KEYS = {
    "health_worker": "health_worker.enabled",
    "health_listen": "health_worker.listen",
    "response_ttl_s": "response_store.ttl_s",
    "max_response_bytes": "response_store.max_bytes",
}
"""Of fields that are called otherwise than their keys."""
_ITEM = re.compile(r"(\w+)\[\d+\]\Z")

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
        name = _KEYS.get(field, field.removesuffix("_s"))
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
        _add(group, value.path.removeprefix(prefix), value)
    return groups


def _add(group: dict[str, EffectiveValue], key: str, value: EffectiveValue) -> None:
    item = _ITEM.match(key)
    if item is not None:
        # Its items come from several sources; here it is one list all the same.
        key = item[1]
        known = group.get(key)
        value = replace(value, value=[*(known.value if known is not None else ()), value.value])
    group[key] = value


def _find_prefix(path: str, owners: Mapping[str, str]) -> str:
    """Return the beginning of a path that is its owner's; names may hold dots themselves."""
    end = len(path)
    while (end := path.rfind(".", 0, end)) > 0:
        if path[: end + 1] in owners:
            return path[: end + 1]
    return ""


def _compare(prefix: str, old: Values, new: Values) -> Iterator[str]:
    for key in sorted({*old, *new}):
        found = [values[key] for values in (old, new) if key in values]
        if len(found) == 1 and found[0].source == str(DEFAULT_PLACE):
            continue  # a setting that one of two versions does not know
        a, b = (values[key].value if key in values else None for values in (old, new))
        if a != b:
            change = _compare_values(a, b, is_secret=any(value.is_secret for value in found))
            # A provider's line has its colon already: `provider groq: timeout 30 -> 60`.
            yield f"{prefix}{key}{change.removeprefix(':') if prefix else change}"


def _compare_values(old: Any, new: Any, *, is_secret: bool) -> str:
    if isinstance(old, list) and isinstance(new, list):
        return _compare_lists(old, new, is_secret=is_secret)
    if isinstance(old, dict) and isinstance(new, dict):
        return _tell(*_find_changes(old.keys(), new.keys(), old, new))
    if not is_secret:
        return f": {_show(old)} -> {_show(new)}"
    if old is None or new is None:
        return " added" if old is None else " removed"
    return " changed"


def _compare_lists(old: list[Any], new: list[Any], *, is_secret: bool) -> str:
    old_names, new_names = ([_name_item(item) for item in items] for items in (old, new))
    old_by_name = dict(zip(old_names, old, strict=True))
    new_by_name = dict(zip(new_names, new, strict=True))
    come, gone, other = _find_changes(old_names, new_names, old_by_name, new_by_name)
    if not (come or gone or other):
        return " in another order"
    if not is_secret:
        return _tell(come, gone, other)
    counts = {"added": len(come), "removed": len(gone), "changed": len(other)}
    return ": " + ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _find_changes(
    old_names: Iterable[str],
    new_names: Iterable[str],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
) -> tuple[list[str], list[str], list[str]]:
    """Return what has come, what has gone, and what is there as before but says something else."""
    before, after = Counter(old_names), Counter(new_names)
    come, gone = (sorted(c.elements()) for c in (after - before, before - after))
    return come, gone, sorted(name for name in old if name in new and old[name] != new[name])


def _name_item(item: Any) -> str:
    """Return what tells an item of a list from others: a target's model, a key's fingerprint."""
    if isinstance(item, dict):
        if "key" in item:
            return str(item["key"])
        return f"{item.get('provider')}/{item.get('model')}"
    return _show(item)


def _tell(come: list[str], gone: list[str], other: list[str]) -> str:
    parts = {"added": come, "removed": gone, "changed": other}
    return " " + ", ".join(f"{word} {_join(names)}" for word, names in parts.items() if names)


def _join(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_ITEMS])
    return f"{shown} and {len(names) - MAX_ITEMS} more" if len(names) > MAX_ITEMS else shown


def _count_models(values: Values) -> str:
    models = values.get("models")
    count = len(models.value) if models is not None and isinstance(models.value, list) else 0
    return f" ({count} model{'s' if count != 1 else ''})" if count else ""


def _show(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_plain = isinstance(value, str) and value.isprintable()
    text = value if is_plain else json.dumps(value)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."


def _plain(value: Any) -> Any:
    """Return addresses as they are written: `host:port`."""
    if not isinstance(value, tuple):
        return value
    if value and isinstance(value[0], str):
        value = (value,)  # a single one
    hosts = ((f"[{host}]" if ":" in host else host, port) for host, port in value)
    return ", ".join(f"{host}:{port}" for host, port in hosts)
