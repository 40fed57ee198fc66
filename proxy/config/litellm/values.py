"""Values of LiteLLM's configuration: numbers, texts, sections, and references to variables."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard

from pydantic import TypeAdapter, ValidationError

from proxy.config.litellm.notes import Notes
from proxy.config.value_types import ModelId

_REFERENCE = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]{0,127})\Z")
_MOST = 10**12
_check_name = TypeAdapter(ModelId).validate_python


def find_reference(value: object) -> str | None:
    """Return the variable that a value of the form `os.environ/NAME` names, else None."""
    found = _REFERENCE.match(value.strip()) if isinstance(value, str) else None
    return found[1] if found is not None else None


def read_text(value: object, variables: Mapping[str, Any]) -> str | None:
    """
    Return a text; None: there is none that is known.

    Args:
        value: as it stands in the configuration.
        variables: LiteLLM's own `environment_variables`, in which a reference is looked up. The
            environment itself is not read: what stands there is not to be written into a file.
    """
    variable = find_reference(value)
    if variable is not None:
        value = variables.get(variable)
    if not isinstance(value, str) or find_reference(value) is not None:
        return None
    return value.strip() or None


def is_plain(value: object) -> bool:
    """Return whether nothing in a value would be taken for a `${VARIABLE}` of ours."""
    return "${" not in str(value)


def is_sendable(key: str) -> bool:
    """Return whether a text can be a key: one that is sent in a header, and no reference."""
    is_reference = key.startswith(("os.environ/", "$")) or not is_plain(key)
    return key.isascii() and key.isprintable() and " " not in key and not is_reference


def is_model_name(value: object) -> TypeGuard[str]:
    """Return whether a name may stand in our configuration as that of a model, or as an alias."""
    try:
        _check_name(value, strict=True)
    except ValidationError:
        return False
    return is_plain(value)


def read_number(value: object) -> Decimal | None:
    """Return a number from 0 on, also where it is written as text; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number < _MOST else None


def read_names(section: object) -> dict[str, Any]:
    """Return a section with its names as text; {} for anything else."""
    return {str(k): v for k, v in section.items()} if isinstance(section, dict) else {}


def read_section(document: Mapping[str, Any], name: str, notes: Notes) -> dict[str, Any]:
    """Return a section of the document; {} where there is none, or something else."""
    section = document.get(name)
    if section is not None and not isinstance(section, dict):
        notes.add(name, "is no section of settings, and was passed over")
    return read_names(section)
