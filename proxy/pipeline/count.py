"""
How many tokens a prompt has, where no provider says it: an estimate, and nobody is asked.

Its client gets an answer all the same: agents go by it, and shorten their prompts in time.
"""

from proxy.pipeline.route import Route
from proxy.pipeline.whole_answer import WholeAnswer
from proxy.providers.registry import find_type
from proxy.wire.anthropic_count import build_token_count, estimate_token_count
from proxy.wire.base import Ask


def count_locally(ask: Ask, chosen: Route) -> WholeAnswer | None:
    """
    Return the answer to a question for tokens, if the first provider cannot be asked for it.

    None: it can, or something else is asked.
    """
    if ask.operation != "count_tokens":
        return None
    candidates = chosen.legs.first.candidates
    if candidates and find_type(candidates[0].provider.type).counts_tokens:
        return None
    return WholeAnswer(build_token_count(estimate_token_count(ask)))
