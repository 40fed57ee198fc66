"""In whose words a refusal is told where no operation says it: by path, or by a header."""

from collections.abc import Mapping

from proxy.wire.dialect import Dialect
from proxy.wire.dialects import find_dialect

VERSION_HEADER = "anthropic-version"
"""Every client of Anthropic's sends it, and nobody else does."""
_OPENAI, _ANTHROPIC = find_dialect("chat"), find_dialect("messages")
_GENERATE, _OLLAMA = find_dialect("generate"), find_dialect("ollama_chat")
_OLLAMAS = "/api/"
_MESSAGES = ("/v1/messages", "/messages")
_GENERATES = ("/v1/generate", "/generate")


def find_client_dialect(path: str, headers: Mapping[str, str]) -> Dialect:
    """Return how the client of a request speaks, as far as its head can tell."""
    if VERSION_HEADER in headers or path.startswith(_MESSAGES):
        return _ANTHROPIC
    if path.startswith(_GENERATES):
        return _GENERATE
    if path.startswith(_OLLAMAS):
        return _OLLAMA
    return _OPENAI
