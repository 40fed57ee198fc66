"""
Requests of Ollama's clients that have a model loaded, or let go of: there is nothing to ask.

When a provider loads its models is its own business, and an answer is what such clients wait for.
"""

from proxy.pipeline.whole_answer import WholeAnswer
from proxy.wire.base import Ask
from proxy.wire.ollama_request import only_loads
from proxy.wire.ollama_writer import build_load

_OPERATIONS = ("ollama_chat", "ollama_generate")


def answer_load(ask: Ask) -> WholeAnswer | None:
    """Return the answer to a request that asks no model anything; None: it does ask one."""
    if ask.operation not in _OPERATIONS or not only_loads(ask):
        return None
    return WholeAnswer(build_load(ask) + b"\n", is_stream=ask.streams)
