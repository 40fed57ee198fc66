"""Which dialect an operation of a client's is, and what it asks, read once."""

from collections.abc import Mapping
from types import MappingProxyType

from proxy.domain.chat import ChatRequest
from proxy.domain.exchange import Operation
from proxy.wire.anthropic_dialect import AnthropicDialect
from proxy.wire.base import Ask
from proxy.wire.dialect import Dialect
from proxy.wire.openai_dialect import OpenAIDialect

_OPENAI = OpenAIDialect()
_ANTHROPIC = AnthropicDialect()
_DIALECTS: Mapping[Operation, Dialect] = MappingProxyType(
    {
        "chat": _OPENAI,
        "completions": _OPENAI,
        "embeddings": _OPENAI,
        "messages": _ANTHROPIC,
        "count_tokens": _ANTHROPIC,
    }
)


def find_dialect(operation: Operation) -> Dialect:
    """Return how clients of an operation speak."""
    return _DIALECTS[operation]


def read_chat(ask: Ask) -> ChatRequest:
    """
    Return what is asked, for a provider that speaks another dialect; read at the first time.

    Raises:
        InvalidRequest: a part of it has a shape that cannot be read; `param` says which.
    """
    if ask.chat is None:
        ask.chat = find_dialect(ask.operation).read_chat(ask)
    return ask.chat
