"""What the end-to-end tests ask for beside their own, and what their clients trust."""

import ssl
from typing import Any

from openai.types.chat import ChatCompletionMessageParam

from tests.end_to_end.served import PROMPT

TRUST = ssl.create_default_context()
"""Read once: an SDK's client that reads the machine's certificates itself takes 25 ms for it."""
ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": PROMPT}]


def knobs(**knobs: Any) -> dict[str, Any]:
    """Return extra fields that turn the simulator's knobs; without any, it hurries."""
    return {"metadata": {"sim": {"tokens_per_s": 0, "first_token_ms": 0, **knobs}}}
