"""
Whether a file that can be read may be what somebody meant: 72 % of the beginnings of a YAML
file can be read as well, so a file that was cut off looks like one that was edited.

Pure; what a reload does with the answer is the supervisor's business.
"""

from msgspec import Struct

from proxy.config.problem import Place, Problem

_ALLOW = "if it is meant, run 'llm-proxy reload --allow-shrink' once"


class GuardFacts(Struct, frozen=True):
    """
    What the guard looks at: how many providers are in a file, and whether its end is marked.

    Providers that were found are in no file of the operator's, and are not counted.
    """

    provider_count: int
    has_marker: bool


class Verdict(Struct, frozen=True):
    """`problem` is why a file is refused, None where it passes; `warnings` refuse nothing."""

    problem: Problem | None = None
    warnings: tuple[Problem, ...] = ()


def decide_guard(
    before: GuardFacts | None,
    after: GuardFacts,
    *,
    source: str,
    is_start: bool = False,
    allow_shrink: bool = False,
) -> Verdict:
    """
    Decide whether a file may take the place of the one that was accepted last.

    Refused is one without `end_of_config: true` after one that had it, one without any
    provider after one that had some, and one with fewer than half as many.

    Args:
        before: of what was accepted last; None if nothing was.
        after: of the file.
        source: the file's name, for the texts.
        is_start: the service starts with it: that it has shrunk is then only said, because
            somebody may have edited it at leisure. A missing end is refused all the same.
        allow_shrink: somebody has seen the refusal and means it.

    Returns:
        The verdict.

    Raises:
        Nothing.
    """
    if before is None or allow_shrink:
        return Verdict()
    place = Place(source)
    if before.has_marker and not after.has_marker:
        what = "'end_of_config: true' is missing, so this file looks cut off"
        return Verdict(Problem(place, what, f"write it as the last line; {_ALLOW}"))
    if after.provider_count * 2 >= before.provider_count:
        return Verdict()
    left = f"only {after.provider_count}" if after.provider_count else "none"
    what = f"{left} of the {before.provider_count} providers in service is left"
    shrunk = Problem(place, f"{what}, so this file looks cut off", f"restore them; {_ALLOW}")
    return Verdict(warnings=(shrunk,)) if is_start else Verdict(shrunk)
