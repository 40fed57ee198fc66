"""Whether a worker that sees others fail should rather doubt itself. Pure."""

from collections.abc import Iterable

from msgspec import Struct

LEAST = 2
"""One alone that is silent says nothing about the others' ways."""


class Sight(Struct, frozen=True):
    """What a worker's last look at one target says about the worker."""

    is_on_this_machine: bool
    is_unanswered: bool
    """Nobody spoke HTTP: no connection, no handshake, no answer in time."""


def is_cut_off(sights: Iterable[Sight]) -> bool:
    """
    Return whether this machine seems to be cut off from what it looks at.

    So it seems while more than half of the targets that lead off this machine, and at least
    LEAST of them, were silent when asked last. An answer with an error, of whatever status, has
    found its way: it says nothing against this machine, and nor does a target on it.

    Args:
        sights: one for each target that has been asked.
    """
    distant = [sight for sight in sights if not sight.is_on_this_machine]
    silent = sum(sight.is_unanswered for sight in distant)
    return silent >= LEAST and 2 * silent > len(distant)
