"""Options that several commands take, and how they become variables."""

import os
from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration file. Default: PROXY_API_CONFIG, ./config.yaml, "
        "/etc/llm-proxy/config.yaml, the packaged copy.",
    ),
]

StateOption = Annotated[
    Path | None, typer.Option(help="Where state is kept. Default: .state beside the file.")
]


def set_variables(**given: object) -> dict[str, str]:
    """Return the environment with what the command line says, as variables."""
    named = {f"PROXY_API_{k.upper()}": str(v) for k, v in given.items() if v is not None}
    return {**os.environ, **named}
