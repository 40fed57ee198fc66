"""
Which Gemini takes what, told by its name.

A name without a version, such as `gemini-flash-latest` or one of an operator's own, is taken for
the newest: what newer ones do not take is refused by none of them when it is left out.

Source: wire-formats §3.2; where that says UNVERIFIED, docs/providers.md says so, too.
"""

import re

from msgspec import Struct

from proxy.domain.chat import Reasoning

_VERSION = re.compile(
    r"(?:gemini|gemma)-(?:[a-z]{1,16}-){0,2}([0-9]{1,2})(?![0-9])(?:\.([0-9]{1,2}))?"
)
_NEWEST = (99, 0)
_NO_SAMPLING_FROM = (3, 6)
_LITE_NO_SAMPLING_FROM = (3, 5)
_LEVELS_FROM = (3, 0)
_BUDGETS_FROM = (2, 5)

_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192}
_HIGH_BUDGET = 24_576
_DYNAMIC = -1
_LEVELS = {"low": "LOW", "medium": "MEDIUM"}


class GeminiModel(Struct, frozen=True):
    """What is known of one model."""

    version: tuple[int, int]
    is_pro: bool = False
    is_lite: bool = False
    is_gemma: bool = False

    @property
    def takes_json_schema(self) -> bool:
        """Schemas may be JSON Schema itself; else only what OpenAPI 3.0 has in common with it."""
        return self.version >= _BUDGETS_FROM and not self.is_gemma

    @property
    def takes_sampling(self) -> bool:
        """`temperature`, `topP` and `topK` have an effect."""
        first = _LITE_NO_SAMPLING_FROM if self.is_lite else _NO_SAMPLING_FROM
        return self.version < first or self.is_gemma

    @property
    def takes_penalties(self) -> bool:
        """`presencePenalty` and `frequencyPenalty` are taken."""
        return self.version < _LEVELS_FROM or self.is_gemma

    @property
    def thinks(self) -> bool:
        """It takes a `thinkingConfig`."""
        return self.version >= _BUDGETS_FROM and not self.is_gemma

    @property
    def wants_signatures(self) -> bool:
        """Calls of its own must come back with their signatures, and with their ids."""
        return self.version >= _LEVELS_FROM and not self.is_gemma

    @property
    def formats_beside_tools(self) -> bool:
        """An answer may be bound to JSON although there are tools (UNVERIFIED for 3 and later)."""
        return self.version >= _LEVELS_FROM


def read_model(name: str) -> GeminiModel:
    """Return what the name of a model tells."""
    lowered = name.lower()
    found = _VERSION.search(lowered)
    version = (int(found[1]), int(found[2] or 0)) if found else _NEWEST
    return GeminiModel(version, "pro" in lowered, "lite" in lowered, "gemma" in lowered)


def build_thinking(model: GeminiModel, reasoning: Reasoning) -> dict[str, object] | None:
    """
    Return the `thinkingConfig` for how much is to be thought, None where there is none to set.

    Gemini 2.5 takes a number of tokens, 3 and later a level, and none takes both. Thinking
    cannot be switched off on 3 and later, nor on 2.5 Pro: there it is as little as can be.
    """
    if not model.thinks:
        return None
    is_off = reasoning.effort == "none" or reasoning.budget_tokens == 0
    config: dict[str, object] = {"includeThoughts": reasoning.shows and not is_off}
    if model.version >= _LEVELS_FROM:
        level = _find_level(model, reasoning, is_off=is_off)
        if level is not None:
            config["thinkingLevel"] = level
    else:
        config["thinkingBudget"] = _find_budget(model, reasoning, is_off=is_off)
    return config


def _find_level(model: GeminiModel, reasoning: Reasoning, *, is_off: bool) -> str | None:
    if is_off or reasoning.effort == "minimal":
        return "LOW" if model.is_pro else "MINIMAL"
    if reasoning.effort is not None:
        # XHIGH stands in the SDK's types, and no page says which model takes it.
        level = _LEVELS.get(reasoning.effort, "HIGH")
    elif reasoning.budget_tokens is not None:
        budget = reasoning.budget_tokens
        level = "LOW" if budget <= _BUDGETS["low"] else "HIGH"
        level = "MEDIUM" if _BUDGETS["low"] < budget <= _BUDGETS["medium"] else level
    else:
        return None
    # Of 3 Pro itself only the two ends are known to be taken.
    is_first_pro = model.is_pro and model.version == _LEVELS_FROM
    return "HIGH" if is_first_pro and level == "MEDIUM" else level


def _find_budget(model: GeminiModel, reasoning: Reasoning, *, is_off: bool) -> int:
    least, most = (128, 32_768) if model.is_pro else (512 if model.is_lite else 1, _HIGH_BUDGET)
    if is_off:
        return least if model.is_pro else 0
    if reasoning.effort is not None:
        return _BUDGETS.get(reasoning.effort, _HIGH_BUDGET)
    if reasoning.budget_tokens is not None:
        return min(max(reasoning.budget_tokens, least), most)
    return _DYNAMIC
