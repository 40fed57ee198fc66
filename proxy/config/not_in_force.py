"""Which settings of a configuration are accepted, but have no effect yet."""

from collections.abc import Iterator

from proxy.config.effective import path_text
from proxy.config.node import Node
from proxy.config.setting import Setting, settings_by_path


def list_not_in_force(tree: Node) -> tuple[str, ...]:
    """Return the paths of what is set but not built yet, in the order of the file."""
    return tuple(dict.fromkeys(_find(tree)))


def _find(tree: Node) -> Iterator[str]:
    settings = settings_by_path()
    for steps, node in tree.walk():
        if node.value is None or node.value is False:
            continue
        for length in range(1, len(steps) + 1):
            # A list's items go by the list's own name.
            setting = settings.get(_pattern(steps[:length]))
            if setting is not None and _is_later(setting, node):
                yield path_text(tree, steps[:length])
                break


def _pattern(steps: tuple[str | int, ...]) -> str:
    text = ""
    for step in steps:
        text += "[]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _is_later(setting: Setting, node: Node) -> bool:
    if setting.path == "routes[].strategy":
        return node.value != "priority"
    if setting.path == "routes[].stream_failure":
        return node.value != "terminate"
    return not setting.in_force
