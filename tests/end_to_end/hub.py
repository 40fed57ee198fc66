"""
The proxy in front of a provider of each type, all of them the simulator in its native formats.

What the tests of the hub of dialects ask for in common: places, models, tools, a picture.
"""

from typing import Any

from pydantic import BaseModel

from tests.end_to_end.served import ADMIN_KEY, PROVIDER_KEY, build_config

PLACES = ("plain", "claude", "gemini", "azure", "cohere")
"""The providers by their names: OpenAI's format, Anthropic's, Gemini's, Azure's and Cohere's."""
TRANSLATED = ("claude", "gemini", "cohere")
"""Those that a chat completion must be translated for."""
SIGNED = ("claude", "gemini")
"""Those that want back what their model has thought before its calls."""
WORDS_ONLY = ("cohere",)
"""Those whose errors inside of an answer are words, and have neither code nor status."""
FAULTS = {
    "bad-param": "sim-fault-u27-bad-param",
    "context": "sim-fault-u27-context-length",
    "limited": "sim-fault-u21-429-seconds",
    "quota": "sim-fault-u22-quota",
    "busy": "sim-fault-u23-503",
    "broken": "sim-fault-u24-500",
    "key": "sim-fault-u25-401",
    "model": "sim-fault-u26-404",
    "error-later": "sim-fault-u20-error-later",
    "eof": "sim-fault-u10-eof-chunked",
    "eof-close": "sim-fault-u10-eof-close",
    "reset": "sim-fault-u7-reset-after-content",
    "cut": "sim-fault-u11-chunked-cut",
    "bad-json": "sim-fault-u12-bad-json",
    "endless": "sim-fault-u17-endless@100tps",
}
"""What goes wrong, by the name that the tests have for it."""
STORY = "sim-story@0tps,0ms"
THINKER = "sim-echo@5thoughts"
THOUGHT = " Let me see what was"
"""What it thinks."""
CACHER = "sim-echo@4cached"
TWICE = "sim-tools@2calls"
THINKING_CALLER = "sim-tools@5thoughts"
MODELS = [
    *("sim-echo", "sim-tools", "sim-look", "sim-refuse", "sim-embed"),
    *(STORY, THINKER, CACHER, TWICE, THINKING_CALLER),
    *FAULTS.values(),
]

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
    "required": ["city", "unit"],
}
"""The schema of the tool `get_weather`."""
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
"""The schema of the tool `get_time`, which takes no arguments."""
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
    "RU5ErkJggg=="
)
"""A picture of one pixel, in Base64."""
PIXEL_SEEN = "I see: image/png of 70 bytes."
"""What `sim-look` says about it."""


class Book(BaseModel):
    """What the model is asked to fill in."""

    title: str
    year: int
    authors: list[str]


def build_hub_config(simulator_port: int) -> dict[str, Any]:
    """Return a configuration with a provider of each type, none of which is asked again."""
    origin = f"http://127.0.0.1:{simulator_port}"
    common = {"api_key": PROVIDER_KEY, "models": MODELS, "max_retries": 0}
    providers: list[dict[str, Any]] = [
        {"name": "plain", "type": "openai_compatible", "base_url": f"{origin}/v1"},
        {"name": "claude", "type": "anthropic", "base_url": origin},
        {"name": "gemini", "type": "gemini", "base_url": f"{origin}/v1beta"},
        {"name": "azure", "type": "azure", "base_url": origin, "api_version": "2024-10-21"},
        {"name": "ollama", "type": "ollama", "base_url": origin},
        {
            "name": "small",
            "type": "ollama",
            "base_url": origin,
            "min_context_tokens": 4096,
            "max_context_tokens": 4096,
        },
        {"name": "cohere", "type": "cohere", "base_url": origin},
    ]
    return build_config(
        admin_keys=[ADMIN_KEY],
        providers=[{**provider, **common} for provider in providers],
    )
