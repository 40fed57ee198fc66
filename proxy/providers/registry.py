"""Which provider types there are: those that are built in, and those of other packages."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from proxy.providers.anthropic import ANTHROPIC, Anthropic
from proxy.providers.azure import AZURE, Azure
from proxy.providers.base import ProviderType
from proxy.providers.cohere import COHERE, Cohere
from proxy.providers.gemini import GEMINI, Gemini
from proxy.providers.kept_request import ResponseKeeper
from proxy.providers.kind import ALL_PASSED, WITH_COUNTED_RESPONSES, Kind, list_passes
from proxy.providers.ollama import OLLAMA, Ollama
from proxy.providers.openai_compatible import KINDS
from proxy.providers.openai_format import OpenAIFormat
from proxy.providers.third_party import MissingType, PackageFault, read_third_party

SIMULATOR = Kind(
    type="simulator",
    title="Built-in simulator",
    base_url="simulator:",
    operations=WITH_COUNTED_RESPONSES,
    needs_key=False,
    appends_v1=False,
    passes=list_passes(*ALL_PASSED),
)

ALIASES: Mapping[str, str] = MappingProxyType(
    {"azure_openai": "azure", "llama.cpp": "llama_cpp", "xai": "grok"}
)
"""Other spellings of a type's name, from the documents operators follow."""

_KINDS: Mapping[str, Kind] = MappingProxyType(
    {kind.type: kind for kind in (*KINDS, SIMULATOR, ANTHROPIC, AZURE, COHERE, GEMINI, OLLAMA)}
)

_TYPES: Mapping[str, ProviderType] = MappingProxyType(
    {
        **{kind.type: OpenAIFormat(kind) for kind in (*KINDS, SIMULATOR)},
        ANTHROPIC.type: Anthropic(),
        AZURE.type: Azure(),
        COHERE.type: Cohere(),
        GEMINI.type: Gemini(),
        OLLAMA.type: Ollama(),
    }
)

_loaded_kinds: dict[str, Kind] = {}
_loaded_types: dict[str, ProviderType] = {}
"""Of other packages, as far as this process has been told to have them."""


def find_kind(type_name: str) -> Kind | None:
    """Return the kind of that type name or alias, or None; of other packages, if it is loaded."""
    name = ALIASES.get(type_name, type_name)
    return _KINDS.get(name) or _loaded_kinds.get(name)


def known_types() -> tuple[str, ...]:
    """Return the name of every type that is built in, sorted; aliases are not in it."""
    return tuple(sorted(_KINDS))


def find_type(type_name: str) -> ProviderType:
    """Return the implementation of a type that `find_kind` knows, or that was to be loaded."""
    name = ALIASES.get(type_name, type_name)
    found = _TYPES.get(name)
    return _loaded_types[name] if found is None else found


def load_type(type_name: str) -> Kind | None:
    """
    Return what `find_kind` does, after looking into other packages for what is not built in.

    What is once loaded stays as it is for as long as the process lives.

    Raises:
        PackageFault: a package brings this type, and it cannot be used.
    """
    kind = find_kind(type_name)
    if kind is None:
        found = read_third_party(type_name)
        if found is not None:
            kind, _loaded_types[type_name] = found
            _loaded_kinds[type_name] = kind
    return kind


def load_types(type_names: Iterable[str]) -> list[PackageFault]:
    """
    Have all these types at hand in this process, for a snapshot that another one has checked.

    Returns:
        What is wrong with those that cannot be had. Their providers are asked for nothing.
    """
    faults: list[PackageFault] = []
    for name in sorted(set(type_names)):
        try:
            if load_type(name) is None:
                what = f"no installed package brings the provider type '{name}'"
                raise PackageFault(what, "install it where this server runs")
        except PackageFault as fault:
            _loaded_types[name] = MissingType(name)
            faults.append(fault)
    return faults


def find_keeper(type_name: str) -> ResponseKeeper | None:
    """Return the type if its providers keep responses that can be asked for later, else None."""
    kind, found = find_kind(type_name), find_type(type_name)
    keeps = kind is not None and "responses" in kind.operations
    return found if keeps and isinstance(found, ResponseKeeper) else None
