"""The commands of `llm-proxy`; what they need is imported when they run."""

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.asking import ask_server
from proxy.cli.breaker_commands import breakers_app
from proxy.cli.config_commands import config_app
from proxy.cli.import_command import import_litellm
from proxy.cli.options import ConfigOption, StateOption, set_variables
from proxy.cli.tell import fail, tell_reload
from proxy.version import __version__

if TYPE_CHECKING:
    from proxy.config.load import LoadedConfig
    from proxy.domain.identity import KeyHasher

app = typer.Typer(
    name="llm-proxy",
    help="A lean LLM proxy: one OpenAI-compatible door to many providers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(config_app)
app.add_typer(breakers_app)
app.command("import-litellm")(import_litellm)


def main() -> None:
    """Run the command line."""
    app()


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def describe(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """A lean LLM proxy: one OpenAI-compatible door to many providers."""


@app.command()
def serve(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Listen here; overrides the file.")] = None,
    port: Annotated[int | None, typer.Option(help="Listen here; overrides the file.")] = None,
    state_dir: StateOption = None,
) -> None:
    """Serve until a signal ends it; the configuration may be edited meanwhile."""
    from proxy.supervisor.spawn import spawn_worker

    # Until the supervisor listens to them these would end the process; workers ignore them.
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    # First of all, so that it loads its libraries while this process loads its own.
    first_worker = spawn_worker()

    from proxy.config.problem import ConfigError
    from proxy.supervisor.run import run_supervisor

    environ = set_variables(host=host, port=port, state=state_dir)
    try:
        run_supervisor(config, environ, first_worker)
    except ConfigError as error:
        fail(str(error))
    except OSError as error:
        fail(f"The server cannot start: {error}")


@app.command()
def reload(
    config: ConfigOption = None,
    state_dir: StateOption = None,
    allow_shrink: Annotated[
        bool,
        typer.Option(
            "--allow-shrink", help="Let the guard pass a file that has lost much, this once."
        ),
    ] = False,
) -> None:
    """Have the running server read its configuration now, and say what came of it."""
    tell_reload(ask_server(config, state_dir, "reload", {"allow_shrink": allow_shrink}))


@app.command("restart-workers")
def restart_workers(config: ConfigOption = None, state_dir: StateOption = None) -> None:
    """Replace the workers of the running server one by one; no request is lost."""
    print(ask_server(config, state_dir, "restart_workers", {})["message"])


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="The file to check.")] = None,
    config: ConfigOption = None,
) -> None:
    """Check a configuration: every problem at once, with its line, and how to mend it."""
    loaded, _ = _load(file or config, dict(os.environ))
    for warning in loaded.warnings:
        print(f"warning: {warning}")
    for setting in loaded.not_in_force:
        print(f"not yet in force: {setting}")
    enabled = [p.name for p in loaded.snapshot.providers.values() if p.enabled]
    disabled = [p.name for p in loaded.snapshot.providers.values() if not p.enabled]
    print(f"{loaded.config_path or 'the packaged configuration'} is valid.")
    print(f"providers: {', '.join(enabled) or 'none'}")
    if disabled:
        print(f"disabled: {', '.join(disabled)}")
    print(f"models: {', '.join(n for n, g in loaded.snapshot.groups.items() if g.deployments)}")


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="Listen here.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Listen here.")] = 8100,
    api_key: Annotated[str | None, typer.Option(help="Ask clients for this key.")] = None,
) -> None:
    """Serve the simulated provider over HTTP, with its faults (docs/simulator.md)."""
    from proxy.simulator.run import run_simulator

    try:
        run_simulator(host, port, api_key=api_key)
    except OSError as error:
        fail(f"The simulator cannot start: {error}")


def _load(path: Path | None, environ: dict[str, str]) -> "tuple[LoadedConfig, KeyHasher]":
    from proxy.config.load import load_config
    from proxy.config.problem import ConfigError
    from proxy.domain.identity import KeyHasher

    # Keys are only ever compared inside this process: a pepper of its own is enough.
    hasher = KeyHasher(os.urandom(32))
    try:
        return load_config(path, environ, hasher, now_at=time.time()), hasher
    except ConfigError as error:
        fail(str(error))
