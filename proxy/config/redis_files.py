"""Files of this machine that `redis_url` names: those that are missing are warned of."""

import os
from collections.abc import Iterator

from proxy.config.node import Node
from proxy.config.problem import Problem
from proxy.stores.redis_address import parse_address


def find_missing_files(redis_url: str | None, tree: Node) -> Iterator[Problem]:
    """
    Yield a warning for each file that a Redis cannot be reached without and that is not here.

    It is no error: the server works without Redis, and goes on looking for it. Of a socket only
    the folder is looked for, since the socket itself comes and goes with its Redis.

    Args:
        redis_url: the setting, already checked.
        tree: the effective tree, which knows where the setting stands.
    """
    if redis_url is None:
        return
    address = parse_address(redis_url)
    place = tree.place_of("redis_url")
    if address.scheme == "unix" and _is_missing(folder := os.path.dirname(address.path)):
        what = f"redis_url: the folder of its socket does not exist here: {folder!r}"
        yield Problem(place, what, "correct the path, or install the Redis that makes it")
    for option, path in address.files:
        if _is_missing(path):
            what = f"redis_url: the file of {option} does not exist here: {path!r}"
            yield Problem(place, what, "put it there, or correct the path")


def _is_missing(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        # Who may not look there cannot tell.
        return False
    return False
