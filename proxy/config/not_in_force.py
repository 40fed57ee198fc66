"""Which settings of a configuration are accepted, but have no effect yet."""

from collections.abc import Iterator

from proxy.config.effective import path_text
from proxy.config.node import Node
from proxy.config.setting import build_pattern, settings_by_path


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
            setting = settings.get(build_pattern(steps[:length]))
            if setting is not None and not setting.in_force:
                yield path_text(tree, steps[:length])
                break
