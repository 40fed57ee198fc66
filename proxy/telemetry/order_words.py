"""What is said of an order to the health worker once it is done: the same on both of its ports."""

from collections.abc import Mapping, Sequence

from proxy.domain.health import HealthOrder

SUSPECT = (
    "The health worker sees most providers fail at once, and takes that for a fault of its own "
    "network: it says nothing about them."
)
NEVER_CHECKED = "what is switched off, simulated, or has 'probe: off', never is"


def describe_order(
    order: HealthOrder,
    names: Sequence[str],
    *,
    checked: int,
    total: int,
    is_suspect: bool = False,
    summary: Mapping[str, object] | None = None,
) -> str:
    """
    Return what was done, in words.

    Args:
        order: what was to be done.
        names: for `check`: of whom; none means all.
        checked: of how many of them something is believed now.
        total: how many they are.
        is_suspect: the health worker doubts what it sees.
        summary: for `discover`: what the health worker says of it.
    """
    if order == "clear":
        return "What was known from checks is forgotten: each provider is unknown until its next."
    if order == "discover":
        found = (summary or {}).get("found")
        told = f": {found} found" if isinstance(found, int) else ""
        hint = "; 'problems' says what is in the way" if (summary or {}).get("problems") else ""
        return f"Providers were searched for{told}{hint}."
    if is_suspect:
        return SUSPECT
    if names:
        if checked == total:
            return f"{', '.join(names)}: checked."
        return f"{', '.join(names)}: not checked; {NEVER_CHECKED}."
    left_out = "" if checked == total else f"; {NEVER_CHECKED}"
    return f"{checked} of {total} provider{'' if total == 1 else 's'} checked{left_out}."
