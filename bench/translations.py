"""
The rows whose clients and providers speak several formats: what translating a chunk costs.

One proxy has a provider of each format, all of them the mock. `messages` is asked and answered
in Anthropic's format, which is not translated, and stands beside the others as `paced` does.
"""

import secrets

from bench.load import LoadPlan
from bench.own_systems import Proxy, build_proxy_config
from bench.rows import Row
from bench.systems import MODEL, Ground

CLAUDE, GEMINI = "claude-bench", "gemini-bench"
CLIENTS = {
    "messages": (True, CLAUDE),
    "chat-anthropic": (False, CLAUDE),
    "messages-openai": (True, MODEL),
    "chat-gemini": (False, GEMINI),
}
"""Of each row: whether its clients speak Anthropic's format, else OpenAI's; their model."""
TITLES = {
    "messages": "64 streams of messages over Anthropic",
    "chat-anthropic": "64 streams of chat over Anthropic",
    "messages-openai": "64 streams of messages over OpenAI",
    "chat-gemini": "64 streams of chat over Gemini",
}


class TranslatingProxy(Proxy):
    """Our own server in front of a provider of each format."""

    def build_config(self, ground: Ground, api_key: str) -> str:
        """Return the text of its config.yaml: as with one provider, and two more."""
        own = build_proxy_config(ground, api_key)
        anthropic = _build_provider("anthropic", ground.upstream, CLAUDE)
        return own + anthropic + _build_provider("gemini", f"{ground.upstream}/v1beta", GEMINI)


def build_hub_rows(is_quick: bool) -> list[Row]:
    """Return the rows, whose loads are those of `paced`; the quick ones measure for one second."""
    measure_s = 1.0 if is_quick else 3.0
    return [
        Row(name, TITLES[name], _build_plan(measure_s, model, speaks_anthropic), start="hub")
        for name, (speaks_anthropic, model) in CLIENTS.items()
    ]


def _build_plan(measure_s: float, model: str, speaks_anthropic: bool) -> LoadPlan:
    return LoadPlan(
        64,
        measure_s,
        1.2,
        streams=True,
        delay_ms=10,
        ramp_ms=500,
        model=model,
        as_anthropic=speaks_anthropic,
    )


def _build_provider(kind: str, base_url: str, model: str) -> str:
    return f"""\
  - name: "mock-{kind}"
    type: "{kind}"
    base_url: "{base_url}"
    api_key: "sk-upstream-{secrets.token_hex(16)}"
    models:
      - "{model}"
"""
