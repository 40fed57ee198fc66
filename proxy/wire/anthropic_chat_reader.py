"""Stub."""

from proxy.domain.chat import ChatRequest
from proxy.wire.base import Ask


def read_anthropic_chat(ask: Ask) -> ChatRequest:
    """Return what is asked."""
    raise NotImplementedError
