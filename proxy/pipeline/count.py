"""
How many tokens a prompt has, where no provider says it: an estimate, and nobody is asked.

Its client gets an answer all the same: agents go by it, and shorten their prompts in time.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from proxy.domain.exchange import Operation
from proxy.pipeline.route import Route
from proxy.pipeline.whole_answer import WholeAnswer
from proxy.providers.registry import find_type
from proxy.wire.anthropic_count import build_token_count, estimate_token_count
from proxy.wire.base import Ask
from proxy.wire.responses_count import build_input_tokens

_BUILDERS: Mapping[Operation, Callable[[int], bytes]] = MappingProxyType(
    {"count_tokens": build_token_count, "input_tokens": build_input_tokens}
)
"""How each client is told the number it has asked for."""


def count_locally(ask: Ask, chosen: Route) -> WholeAnswer | None:
    """
    Return the answer to a question for tokens, if the first provider cannot be asked for it.

    None: it can, or something else is asked.
    """
    build = _BUILDERS.get(ask.operation)
    if build is None:
        return None
    candidates = chosen.legs.first.candidates
    if candidates and ask.operation in find_type(candidates[0].provider.type).counts:
        return None
    return WholeAnswer(build(estimate_token_count(ask)))
