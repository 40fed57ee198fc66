"""The commands of `llm-proxy`; what they need is imported when they run."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from proxy.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

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

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="The configuration file. Default: PROXY_API_CONFIG, ./config.yaml, "
        "/etc/llm-proxy/config.yaml, the packaged copy.",
    ),
]


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
    state_dir: Annotated[
        Path | None, typer.Option(help="Where state is kept. Default: .state beside the file.")
    ] = None,
) -> None:
    """Serve until a signal ends it."""
    from proxy.telemetry.log_writer import open_log_writer
    from proxy.telemetry.logs import configure_logging
    from proxy.worker import run_worker

    environ = dict(os.environ)
    for name, value in (("HOST", host), ("PORT", port), ("STATE", state_dir)):
        if value is not None:
            environ[f"PROXY_API_{name}"] = str(value)
    loaded, hasher = _load(config, environ)
    install = loaded.install
    try:
        log = open_log_writer(install.log_file)
    except OSError as error:
        _fail(f"The log file cannot be opened: {error}")
    configure_logging(install.log_level, log)
    _tell_start(loaded)
    try:
        run_worker(install, loaded.snapshot, hasher, log, lambda urls: _tell_ready(loaded, urls))
    except OSError as error:
        _fail(f"The server cannot start: {error}")
    finally:
        log.close()


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
        _fail(f"The simulator cannot start: {error}")


def _load(path: Path | None, environ: dict[str, str]) -> "tuple[LoadedConfig, KeyHasher]":
    from proxy.config.load import load_config
    from proxy.config.problem import ConfigError
    from proxy.domain.identity import KeyHasher

    # Keys are only ever compared inside this process: a pepper of its own is enough.
    hasher = KeyHasher(os.urandom(32))
    try:
        return load_config(path, environ, hasher, now_at=time.time()), hasher
    except ConfigError as error:
        _fail(str(error))


def _tell_start(loaded: "LoadedConfig") -> None:
    import structlog

    log = structlog.get_logger("llm_proxy.config")
    for warning in loaded.warnings:
        log.warning(str(warning))
    for setting in loaded.not_in_force:
        log.warning("accepted, but not yet in force", setting=setting)
    if any(p.type == "simulator" and p.enabled for p in loaded.snapshot.providers.values()):
        log.warning("the simulator is on: models named sim-* answer with made-up text")


def _tell_ready(loaded: "LoadedConfig", urls: "Sequence[str]") -> None:
    import structlog

    structlog.get_logger("llm_proxy.server").info(
        "serving",
        addresses=", ".join(urls),
        config=str(loaded.config_path or "packaged"),
        version=__version__,
    )


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(2)
