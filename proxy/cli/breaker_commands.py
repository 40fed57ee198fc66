"""The commands of `llm-proxy breakers`: what operators say to circuit breakers."""

from typing import Annotated

import typer

from proxy.cli.asking import ask_server
from proxy.cli.options import ConfigOption, StateOption

breakers_app = typer.Typer(
    name="breakers",
    help="Reset circuit breakers of the running server, force them open, or switch them off.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

IdArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="provider/model, host:provider, key:provider, or a provider for all of its own.",
    ),
]


@breakers_app.command("reset")
def reset(id: IdArgument, config: ConfigOption = None, state_dir: StateOption = None) -> None:
    """Close a breaker and forget what it knew; `*` means all of them."""
    print(ask_server(config, state_dir, "breaker", {"id": id, "command": "reset"})["message"])


@breakers_app.command("open")
def force_open(id: IdArgument, config: ConfigOption = None, state_dir: StateOption = None) -> None:
    """Let no request through, until it is reset."""
    print(ask_server(config, state_dir, "breaker", {"id": id, "command": "open"})["message"])


@breakers_app.command("close")
def switch_off(id: IdArgument, config: ConfigOption = None, state_dir: StateOption = None) -> None:
    """Let every request through whatever happens, until it is reset."""
    print(ask_server(config, state_dir, "breaker", {"id": id, "command": "close"})["message"])
