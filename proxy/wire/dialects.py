"""Which dialect an operation of a client's is, and what it asks, read once."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from msgspec import Raw

from proxy.domain.chat import ChatRequest
from proxy.domain.errors import InvalidRequest, NotOffered
from proxy.domain.exchange import Operation
from proxy.wire.anthropic_dialect import AnthropicDialect
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.dialect import Dialect
from proxy.wire.generate_dialect import GenerateDialect
from proxy.wire.json_text import holds_too_many_values
from proxy.wire.ollama_dialect import OllamaDialect
from proxy.wire.ollama_vectors import dress_vectors
from proxy.wire.openai_dialect import OpenAIDialect
from proxy.wire.responses_dialect import ResponsesDialect

_OPENAI = OpenAIDialect()
_ANTHROPIC = AnthropicDialect()
_GENERATE = GenerateDialect()
_RESPONSES = ResponsesDialect()
_OLLAMA = OllamaDialect()
_DIALECTS: Mapping[Operation, Dialect] = MappingProxyType(
    {
        "chat": _OPENAI,
        "completions": _OPENAI,
        "embeddings": _OPENAI,
        "messages": _ANTHROPIC,
        "count_tokens": _ANTHROPIC,
        "generate": _GENERATE,
        "responses": _RESPONSES,
        "input_tokens": _RESPONSES,
        "ollama_chat": _OLLAMA,
        "ollama_generate": _OLLAMA,
        "ollama_embed": _OLLAMA,
    }
)


MAX_VALUES = 500_000
"""Most values of one field that is read for another dialect: each may cost a hundred bytes, and
ten million of them fit into a body."""


def find_dialect(operation: Operation) -> Dialect:
    """Return how clients of an operation speak."""
    return _DIALECTS[operation]


def list_dialects() -> Collection[Dialect]:
    """Return each dialect of clients once."""
    return {dialect.name: dialect for dialect in _DIALECTS.values()}.values()


def read_chat(ask: Ask) -> ChatRequest:
    """
    Return what is asked, for a provider that speaks another dialect; read at the first time.

    Raises:
        InvalidRequest: a part of it has a shape that cannot be read, or more values than are taken
            apart here; `param` says which.
        NotOffered: it goes on from what a provider of the client's own dialect keeps.
    """
    if ask.pinned is not None:
        raise NotOffered(
            f"The provider of '{ask.model}' keeps no responses that could be gone on from.",
            param="previous_response_id",
        )
    if ask.chat is None:
        for name, raw in ask.fields.items():
            _check_values(name, raw)
        chat = find_dialect(ask.operation).read_chat(ask)
        _check_choice(ask, chat)
        ask.chat = chat
    return ask.chat


def dress_answer(operation: Operation, ask: Ask, answer: CheckedAnswer) -> bytes:
    """
    Return a whole answer as the client gets it, where it was asked for by another operation.

    Args:
        operation: the client's; vectors are asked for in OpenAI's words, whoever wants them.
        ask: what a provider was asked.
        answer: to `ask`, checked.
    """
    return dress_vectors(ask, answer) if operation == "ollama_embed" else answer.body


def _check_choice(ask: Ask, chat: ChatRequest) -> None:
    """Raise InvalidRequest if a tool must be called and there is none: no answer would be that."""
    choice = chat.tool_choice
    if choice is not None and choice.mode == "required" and not chat.tools:
        name = "tool_choice" if "tool_choice" in ask.fields else "function_call"
        raise InvalidRequest(f"'{name}' wants a call, and there are no tools.", param=name)


def _check_values(name: str, raw: Raw) -> None:
    if len(memoryview(raw)) > MAX_VALUES and holds_too_many_values(bytes(raw), MAX_VALUES):
        raise InvalidRequest(
            f"'{name}' holds more than {MAX_VALUES} values.", param=name, code="too_many_values"
        )
