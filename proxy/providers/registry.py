"""Which provider types there are."""

from collections.abc import Mapping
from types import MappingProxyType

from proxy.providers.anthropic import ANTHROPIC, Anthropic
from proxy.providers.azure import AZURE, Azure
from proxy.providers.base import ProviderType
from proxy.providers.gemini import GEMINI, Gemini
from proxy.providers.kind import Kind
from proxy.providers.openai_compatible import KINDS
from proxy.providers.openai_format import OpenAIFormat

SIMULATOR = Kind(
    type="simulator",
    title="Built-in simulator",
    base_url="simulator:",
    needs_key=False,
    appends_v1=False,
)

ALIASES: Mapping[str, str] = MappingProxyType(
    {"azure_openai": "azure", "llama.cpp": "llama_cpp", "xai": "grok"}
)
"""Other spellings of a type's name, from the documents operators follow."""

_KINDS: Mapping[str, Kind] = MappingProxyType(
    {kind.type: kind for kind in (*KINDS, SIMULATOR, ANTHROPIC, AZURE, GEMINI)}
)

_TYPES: Mapping[str, ProviderType] = MappingProxyType(
    {
        **{kind.type: OpenAIFormat(kind) for kind in (*KINDS, SIMULATOR)},
        ANTHROPIC.type: Anthropic(),
        AZURE.type: Azure(),
        GEMINI.type: Gemini(),
    }
)


def find_kind(type_name: str) -> Kind | None:
    """Return the kind of that type name or alias, or None."""
    return _KINDS.get(ALIASES.get(type_name, type_name))


def known_types() -> tuple[str, ...]:
    """Return every type name, sorted; aliases are not in it."""
    return tuple(sorted(_KINDS))


def find_type(type_name: str) -> ProviderType:
    """Return the implementation of a type that `find_kind` knows."""
    return _TYPES[ALIASES.get(type_name, type_name)]
