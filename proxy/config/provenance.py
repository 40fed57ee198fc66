"""Where each effective value comes from: a line of a file, a variable, or the default."""

from collections.abc import Iterator, Mapping

from proxy.config.node import Node
from proxy.config.problem import DEFAULT_PLACE, Place
from proxy.config.setting import REQUIRED, list_settings

Steps = tuple[str | int, ...]


def read_provenance(tree: Node) -> Mapping[str, Place]:
    """
    Return the place of every effective value under its path.

    Paths are like `port`, `clocks.tls_s`, `providers.openai_default.timeout`. A list of
    plain values is one entry; if its items come from several sources each has its own,
    like `admin_keys[1]`.
    """
    places = {path_text(tree, steps): place for steps, place in _walk(tree, ())}
    providers = tree.find("providers")
    for setting in list_settings():
        top, _, below = setting.path.partition("[].")
        if setting.default in (REQUIRED, "{}"):
            continue
        if not below:
            _note_default(places, top)
        elif top == "providers":
            for index, _ in enumerate(providers.items if providers else ()):
                _note_default(places, f"{path_text(tree, (top, index))}.{below}")
    return places


def path_text(tree: Node, steps: Steps) -> str:
    """Return a path in words: entries of lists go by their name or alias, where they have one."""
    text = ""
    node: Node | None = tree
    for step in steps:
        node = node.find(step) if node is not None else None
        if isinstance(step, str):
            text += f".{step}" if text else step
            continue
        label = None
        for key in ("name", "alias"):
            found = node.find(key) if node is not None else None
            label = found.value if found is not None else label
        text += f".{label}" if isinstance(label, str) else f"[{step}]"
    return text


def _note_default(places: dict[str, Place], path: str) -> None:
    if path not in places and f"{path}[0]" not in places:
        places[path] = DEFAULT_PLACE


def _walk(node: Node, steps: Steps) -> Iterator[tuple[Steps, Place]]:
    if isinstance(node.value, dict):
        for key, below in node.value.items():
            yield from _walk(below, (*steps, key))
    elif isinstance(node.value, list):
        is_plain = not any(isinstance(item.value, dict | list) for item in node.value)
        if is_plain and len({_source(item.place) for item in node.value}) <= 1:
            yield steps, node.place
        else:
            for index, item in enumerate(node.value):
                yield from _walk(item, (*steps, index))
    else:
        yield steps, node.place


def _source(place: Place) -> tuple[str, str]:
    return place.source, place.variable
