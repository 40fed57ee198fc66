"""What several commands say in the same words."""

import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import typer


def fail(message: str) -> NoReturn:
    """Say on standard error what cannot be done, and end with status 2."""
    print(message, file=sys.stderr)
    raise typer.Exit(2)


def tell_reload(answer: Mapping[str, Any]) -> None:
    """Print what a reload of the running server has come to; fail if it was refused."""
    for change in answer["changes"]:
        print(change)
    for warning in answer["warnings"]:
        print(f"warning: {warning}")
    for setting in answer["needs_restart"]:
        print(f"needs a restart: {setting}")
    if answer["problems"]:
        fail("\n".join([*answer["problems"], answer["message"]]))
    print(answer["message"])
