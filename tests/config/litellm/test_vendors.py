"""Whom a model of LiteLLM's is asked of."""

import pytest

from proxy.config.litellm.vendors import Vendor, find_vendor
from proxy.providers.registry import find_kind


@pytest.mark.parametrize(
    ("model", "given", "has_address", "vendor"),
    [
        ("azure/my-deployment", None, True, ("azure", "my-deployment")),
        ("gpt-4o", None, False, ("openai", "gpt-4o")),
        ("claude-sonnet-4-5", None, False, ("anthropic", "claude-sonnet-4-5")),
        ("xai/grok-4", None, False, ("grok", "grok-4")),
        ("together_ai/meta-llama/Llama-3", None, False, ("together", "meta-llama/Llama-3")),
        ("openrouter/openai/gpt-4o", None, False, ("openrouter", "openai/gpt-4o")),
        ("openai/responses/gpt-5", None, False, ("openai", "gpt-5")),
        ("meta-llama/Llama-3", None, True, ("openai_compatible", "meta-llama/Llama-3")),
        ("my-model", None, True, ("openai_compatible", "my-model")),
        ("gpt-4o", "azure", True, ("azure", "gpt-4o")),
        ("azure/gpt-4o", "azure", True, ("azure", "gpt-4o")),
        ("fireworks_ai/accounts/f/m", None, True, ("openai_compatible", "accounts/f/m")),
        ("huggingface/a/b", None, True, ("openai_compatible", "a/b")),
        ("qwen-plus", "dashscope", False, ("openai_compatible", "qwen-plus")),
        ("x", "bedrock", False, None),
        ("vertex_ai/gemini-2.5-pro", None, True, None),
        ("bedrock/anthropic.claude-v2", None, False, None),
        ("vertex_ai/gemini-2.5-pro", None, False, None),
        ("my-model", None, False, None),
        ("openai/", None, False, None),
        ("", None, True, None),
    ],
)
def test_vendors(
    model: str, given: str | None, has_address: bool, vendor: tuple[str, str] | None
) -> None:
    """By `custom_llm_provider`, else by how the name begins, else by there being an address."""
    assert find_vendor(model, given, has_address) == (vendor and Vendor(*vendor))


def test_every_vendor_leads_to_a_type_of_ours() -> None:
    """No name of LiteLLM's stands for a type that there is not."""
    names = ("anthropic", "azure", "cohere", "deepseek", "gemini", "groq", "hosted_vllm", "mistral")
    more = ("lm_studio", "ollama", "openai", "openrouter", "perplexity", "together_ai", "xai")
    for name in (*names, *more):
        vendor = find_vendor(f"{name}/m", None, False)
        assert vendor is not None
        assert find_kind(vendor.type) is not None
