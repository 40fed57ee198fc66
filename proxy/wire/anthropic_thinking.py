"""How much is to be thought -> Anthropic's `thinking` and `effort`, as the model takes them."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from proxy.domain.chat import (
    Call,
    ChatRequest,
    Effort,
    Message,
    Part,
    Refusal,
    Result,
    Text,
    Thought,
)
from proxy.wire.anthropic_blocks import Json
from proxy.wire.claude_models import ClaudeModel

_LEAST_BUDGET = 1024
_BUDGETS: Mapping[Effort, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 24_576,
}
"""Tokens of thoughts; with an answer behind them they fit into every model that takes budgets."""
_NAME = "reasoning_effort"


class Thinking(Struct, frozen=True):
    """What a request says of thinking."""

    thinking: Json | None = None
    effort: Effort | None = None
    budget_tokens: int = 0
    """Of the limit of the answer this much is for thoughts."""

    @property
    def is_on(self) -> bool:
        """The model is asked to think."""
        return self.thinking is not None and self.thinking["type"] != "disabled"


NO_THINKING = Thinking()


def decide_thinking(
    chat: ChatRequest, claude: ClaudeModel, dropped: list[str], *, forces_tool: bool
) -> Thinking:
    """
    Return how a model is told to think, if it is.

    Args:
        chat: what is asked.
        claude: what the model takes.
        dropped: gets `reasoning_effort`, where the model cannot be told, or not in this request.
        forces_tool: some tool must be called, which does not go together with a budget.

    Source: wire-formats §3.1; tests/wire/test_anthropic_thinking.py.
    """
    wanted = chat.reasoning
    if wanted is None:
        return NO_THINKING
    if claude.thinking == "adaptive":
        if wanted.effort == "none":
            return Thinking({"type": "disabled"})
        effort = _find_effort(wanted.effort, wanted.budget_tokens, claude)
        if lacks_thoughts(chat.messages):
            dropped.append(_NAME)
            return Thinking(effort=effort)
        thinking: Json = {"type": "adaptive"}
        if claude.takes_display:
            thinking["display"] = "summarized" if wanted.shows else "omitted"
        return Thinking(thinking, effort)
    if wanted.effort == "none":
        return NO_THINKING
    budget = wanted.budget_tokens or _BUDGETS[wanted.effort or "medium"]
    budget = _fit_budget(budget, chat.max_tokens)
    if claude.thinking == "none" or forces_tool or not budget or lacks_thoughts(chat.messages):
        dropped.append(_NAME)
        return NO_THINKING
    return Thinking({"type": "enabled", "budget_tokens": budget}, budget_tokens=budget)


def _find_effort(effort: Effort | None, budget: int | None, claude: ClaudeModel) -> Effort | None:
    if effort is None:
        return None if budget is None else _weigh_budget(budget)
    if effort == "xhigh" and not claude.takes_xhigh:
        return "high"
    return "low" if effort == "minimal" else effort


def _weigh_budget(budget: int) -> Effort:
    """Return the effort that a number of tokens for thoughts comes to."""
    if budget <= _BUDGETS["low"]:
        return "low"
    return "medium" if budget <= _BUDGETS["medium"] else "high"


def _fit_budget(budget: int, max_tokens: int | None) -> int:
    """Return what of the answer's limit may be thoughts; 0: too little of it for any."""
    budget = max(budget, _LEAST_BUDGET)
    if max_tokens is not None and budget >= max_tokens:
        budget = max(max_tokens // 2, _LEAST_BUDGET)
        return budget if budget < max_tokens else 0
    return budget


def lacks_thoughts(messages: Sequence[Message]) -> bool:
    """
    Return whether a call is being answered before which nothing was thought.

    Where thinking is on, Anthropic wants the thoughts back that led to such a call, and refuses
    a conversation that has none, as one that another vendor's model has begun.
    """
    turn: list[Part] = []
    is_answered = False
    for message in reversed(messages):
        if message.role == "assistant":
            turn[:0] = (part for part in message.parts if _is_written(part))
        elif not any(_is_written(part) for part in message.parts):
            continue
        elif any(not isinstance(part, Thought) for part in turn):
            break
        else:
            turn.clear()  # thoughts that nothing follows are no turn
            # What the user adds to the answers of calls is in one turn with them.
            is_answered = is_answered or any(isinstance(part, Result) for part in message.parts)
    is_called = is_answered and any(isinstance(part, Call) for part in turn)
    return is_called and not isinstance(turn[0], Thought)


def _is_written(part: Part) -> bool:
    if isinstance(part, Thought):
        return part.maker == "anthropic" and bool(part.signature)
    return not isinstance(part, Text | Refusal) or bool(part.text.strip())
