"""Tests of `proxy/providers/registry.py`."""

import pytest

from proxy.providers.registry import ALIASES, SIMULATOR, find_kind, find_type, known_types


@pytest.mark.parametrize("name", known_types())
def test_each_known_type_has_its_row_and_its_implementation(name: str) -> None:
    """A type that may be configured can be built and asked."""
    kind = find_kind(name)
    assert kind is not None
    assert kind.type == find_type(name).name == name


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_is_the_type_it_stands_for(alias: str, name: str) -> None:
    """Other spellings find the same row and implementation."""
    assert find_kind(alias) is find_kind(name)
    assert find_type(alias) is find_type(name)
    assert alias not in known_types()


def test_the_types_of_openais_format_and_the_simulator_are_known() -> None:
    """Every provider that speaks OpenAI's format and is promised has a row."""
    assert set(known_types()) >= {
        *("anthropic", "azure", "cohere", "gemini"),
        *("openai", "grok", "perplexity", "blackbox", "openrouter", "groq", "together"),
        *("mistral", "deepseek", "lm_studio", "llama_cpp", "ollama", "vllm", "openai_compatible"),
        SIMULATOR.type,
    }


def test_an_unknown_type_is_none() -> None:
    """A name that is no type has no row."""
    assert find_kind("gpt") is None
    assert find_kind("") is None
