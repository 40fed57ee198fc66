"""
LiteLLM's `config.yaml` -> ours, and a list of what has no counterpart.

`llm-proxy import-litellm` calls it. Secrets that stand in variables stay there; what stands in the
file in clear is written as it was.

Source: LiteLLM's documentation of its proxy and router (November 2026);
docs/migrating-from-litellm.md.
"""

from collections.abc import Mapping
from typing import Any

import yaml
from msgspec import Struct

from proxy.config.litellm.notes import Notes, name_key
from proxy.config.litellm.routes import build_routes
from proxy.config.litellm.settings import build_settings, join_settings
from proxy.config.litellm.targets import read_targets
from proxy.config.litellm.values import read_number, read_section

_SECTIONS = frozenset(
    (
        *("model_list", "router_settings", "litellm_settings", "general_settings"),
        "environment_variables",
    )
)
_WIDTH = 100
_MOST_BITS = 4096


class NotLiteLLM(ValueError):
    """A file is not a configuration of LiteLLM; the message holds nothing of it."""


class Imported(Struct, frozen=True):
    """Our configuration as values, and what an operator must know of it."""

    config: dict[str, Any]
    notes: tuple[str, ...]

    def write(self, source: str) -> str:
        """Return it as YAML, with the notes above it; `source` names the file it was made from."""
        shown = source if source.isprintable() else "a file"
        head = [f"# Made from {shown} by `llm-proxy import-litellm`. Check it: llm-proxy check"]
        if self.notes:
            head.append("# What has no counterpart, or has to be done by hand:")
            head += [f"# - {note}" for note in self.notes]
        body = yaml.dump(
            {**self.config, "end_of_config": True},
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            width=_WIDTH,
            default_flow_style=False,
        )
        return "\n".join([*head, "", body])


class _Loader(yaml.SafeLoader):
    """Reads what can be written again: Python writes no number of thousands of digits."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number: int = super().construct_yaml_int(node)
        if number.bit_length() > _MOST_BITS:
            raise ValueError("a number of too many digits")
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _Dumper(yaml.SafeDumper):
    """Writes as a person would: lists are indented, and nothing is an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def import_litellm(data: bytes) -> Imported:
    """
    Return what a configuration of LiteLLM's comes to.

    Args:
        data: the file, YAML in UTF-8.

    Raises:
        NotLiteLLM: it is not YAML, or no section of settings with a `model_list`.
    """
    document = _parse(data)
    notes = Notes()
    router = read_section(document, "router_settings", notes)
    litellm = read_section(document, "litellm_settings", notes)
    general = read_section(document, "general_settings", notes)
    variables = read_section(document, "environment_variables", notes)
    joined = join_settings(router, litellm)
    retries = read_number(joined.get("num_retries"))
    found = read_targets(
        document["model_list"], variables, None if retries is None else int(retries), notes
    )
    config = {
        **build_settings(router, litellm, general, notes),
        "providers": found.providers,
        "routes": build_routes(found.targets, joined, notes, patterns=found.patterns),
    }
    for name in variables:
        notes.add(f"environment_variables.{name_key(name)}", "put it into .env beside the file")
    notes.add_rest("the file", document, _SECTIONS, {"include": "other files are not read"})
    return Imported(config, notes.lines)


def _parse(data: bytes) -> Mapping[str, Any]:
    try:
        document = _Loader(data).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError):
        raise NotLiteLLM("this is not YAML") from None
    if not isinstance(document, dict) or "model_list" not in document:
        raise NotLiteLLM("this is no configuration of LiteLLM: it has no model_list")
    return {str(name): value for name, value in document.items()}
