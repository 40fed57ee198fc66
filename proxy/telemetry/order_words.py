"""What is said of an order to the health worker once it is done: the same on both of its ports."""

from collections.abc import Iterable, Mapping, Sequence

from proxy.domain.health import HealthOrder, HealthVerdict

SUSPECT = (
    "The health worker sees most providers fail at once, and takes that for a fault of its own "
    "network: it says nothing about them."
)
CLOCKS_DIFFER_S = 1.0
"""The health worker may run on another machine, whose clock is not quite this one's."""
_NAMES_SHOWN = 8
NEVER_CHECKED = "what is switched off, simulated, or has 'probe: off', never is"


def build_order_body(
    order: HealthOrder,
    names: Sequence[str],
    shown: Sequence[Mapping[str, object]],
    verdicts: Iterable[HealthVerdict],
    *,
    ordered_at: float,
    now_at: float,
    is_suspect: bool,
    summary: Mapping[str, object],
) -> dict[str, object]:
    """
    Return the body that answers an order.

    Args:
        order: what was to be done.
        names: for `check`: of whom; none means all.
        shown: the providers, as they are listed now.
        verdicts: what is believed of those of them that are checked.
        ordered_at: when it was ordered, epoch seconds.
        now_at: epoch seconds.
        is_suspect: the health worker doubts what it sees.
        summary: what the health worker says of it, {} for nothing.
    """
    believed = list(verdicts)
    message = describe_order(
        order,
        names,
        checked=len(believed),
        total=len(shown),
        late=find_late(believed, ordered_at),
        is_suspect=is_suspect,
        summary=summary,
    )
    told = {"discovery": summary} if order == "discover" and summary else {}
    return {"message": message, "timestamp": now_at, "providers": shown, **told}


def describe_order(
    order: HealthOrder,
    names: Sequence[str],
    *,
    checked: int,
    total: int,
    late: Sequence[str] = (),
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
        late: those of them that were asked, and have not answered yet (see `find_late`).
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
    if late:
        more = f" and {len(late) - _NAMES_SHOWN} more" if len(late) > _NAMES_SHOWN else ""
        silent = f"{', '.join(late[:_NAMES_SHOWN])}{more}"
        if names:
            return f"{silent}: no answer yet; what is told is older."
        fresh = f"{checked - len(late)} of {total} providers checked"
        return f"{fresh}; no answer yet from {silent}: what is told is older."
    if names:
        if checked == total:
            return f"{', '.join(names)}: checked."
        return f"{', '.join(names)}: not checked; {NEVER_CHECKED}."
    left_out = "" if checked == total else f"; {NEVER_CHECKED}"
    return f"{checked} of {total} provider{'' if total == 1 else 's'} checked{left_out}."


def find_late(verdicts: Iterable[HealthVerdict], ordered_at: float) -> list[str]:
    """
    Return the names of those whose verdict is older than an order to check them.

    Args:
        verdicts: on those that were to be checked.
        ordered_at: when it was ordered, epoch seconds.
    """
    newest_old_at = ordered_at - CLOCKS_DIFFER_S
    return [each.provider for each in verdicts if each.checked_at < newest_old_at]
