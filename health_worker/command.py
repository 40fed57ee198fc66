"""The command `llm-health-worker`; what it needs is imported when it runs."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from proxy.version import __version__

app = typer.Typer(
    name="llm-health-worker",
    help="Checks the providers of an LLM proxy, and tells all that share its Redis.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line."""
    app()


def _print_version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


@app.command()
def check_providers(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="The configuration file. Default: PROXY_API_CONFIG, ./config.yaml, "
            "/etc/llm-proxy/config.yaml, the packaged copy.",
        ),
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="Where state is kept. Default: .state beside the file.")
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Check providers until a signal ends it; the configuration may be edited meanwhile."""
    # Until it listens to them these would end the process.
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)

    from health_worker.standalone import run_standalone
    from proxy.config.problem import ConfigError

    given = {} if state_dir is None else {"PROXY_API_STATE_DIR": str(state_dir)}
    try:
        run_standalone(config, {**os.environ, **given})
    except ConfigError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"The health worker cannot start: {error.strerror or error}")


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(2)
