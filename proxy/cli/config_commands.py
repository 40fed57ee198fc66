"""
`llm-proxy config ...`: look back at configurations that were in force, and put them back.

They work on the files and the history on disk, with and without a running server; one that
runs is asked to read the files and to say what came of it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from proxy.cli.options import ConfigOption, StateOption, set_variables
from proxy.cli.tell import fail, tell_reload

if TYPE_CHECKING:
    from proxy.config.backup import Contents
    from proxy.config.history import History, HistoryEntry

config_app = typer.Typer(
    name="config",
    help="Look back at configurations, roll back, back up and restore.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ForceOption = Annotated[
    bool, typer.Option("--force", help="Write it even if it is not valid; it is said all the same.")
]

_LONGEST_CAUSE = 40


class _Place(NamedTuple):
    """Where the configuration and its state are. `config_path` is None for the packaged copy."""

    config_path: Path | None
    state_dir: Path
    environ: dict[str, str]


@config_app.command("history")
def show_history(config: ConfigOption = None, state_dir: StateOption = None) -> None:
    """List the configurations that were in force, newest first."""
    history = _open_history(_find_place(config, state_dir))
    rows = [("GENERATION", "ACCEPTED (UTC)", "CAUSE", "CHANGES")]
    rows += [_build_row(entry) for entry in history.list()]
    for row in rows if len(rows) > 1 else ():
        widths = [max(len(other[column]) for other in rows) for column in range(3)]
        print("  ".join([*map(str.ljust, row, widths), row[-1]]).rstrip())
    for damaged in history.list_damaged():
        print(f"damaged: {damaged}", file=sys.stderr)
    if len(rows) == 1:
        print(f"There is no history in {history.directory} yet.")


@config_app.command("diff")
def show_diff(
    a: Annotated[int, typer.Argument(help="The generation before.")],
    b: Annotated[int, typer.Argument(help="The generation after.")],
    config: ConfigOption = None,
    state_dir: StateOption = None,
) -> None:
    """Say in words what is different in generation B from generation A."""
    from proxy.config.changes import describe_changes

    history = _open_history(_find_place(config, state_dir))
    before, after = (_read_entry(history, generation) for generation in (a, b))
    changes = describe_changes(before.effective, after.effective)
    for change in changes:
        print(change)
    if not changes:
        print(f"Generations {a} and {b} come to the same.")


@config_app.command()
def rollback(
    generation: Annotated[int, typer.Argument(help="The generation, as `history` shows it.")],
    config: ConfigOption = None,
    state_dir: StateOption = None,
    force: ForceOption = False,
) -> None:
    """Put the files of a generation back; a backup of what lies there now is made before."""
    from proxy.config.history import HistoryBroken
    from proxy.config.sources import PROBE_FILE_NAME

    place = _find_place(config, state_dir)
    config_path = _require_file(place)
    history = _open_history(place)
    entry = _read_entry(history, generation)
    kept_path = Path(entry.config_path or "")
    if _plain(kept_path) != _plain(config_path):
        shown = entry.config_path or "the packaged configuration"
        fail(f"Generation {generation} is of another file, {shown}: name that with --config.")
    try:
        files = {name: history.read_file(generation, name) for name in entry.files}
    except HistoryBroken as error:
        fail(f"{error}. Its files are in {history.path_of(generation)}.")
    # A probe file that there was not then must not be there afterwards.
    contents = {PROBE_FILE_NAME: None, **files}
    _put_back(
        place, contents, f"generation {generation}", f"rollback to generation {generation}", force
    )
    print("Not part of it: .env and the environment, which stay as they are.")


@config_app.command()
def backup(
    to: Annotated[
        Path | None, typer.Option(help="Copy into this directory. Default: backups in the state.")
    ] = None,
    config: ConfigOption = None,
    state_dir: StateOption = None,
) -> None:
    """Copy the configuration, the health worker's file and .env, with the keys in them."""
    from proxy.config.backup import keep_backup, make_backup

    place = _find_place(config, state_dir)
    config_path = _require_file(place)
    with _telling_errors("The backup cannot be made"):
        if to is None:
            to = keep_backup(config_path, place.state_dir, time.time())
        elif not make_backup(config_path, to):
            to = None
    if to is None:
        fail(f"There is nothing to copy: {config_path} is not there.")
    print(f"Backed up into {to}.")


@config_app.command()
def restore(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[FROM]", help="A directory or a file. Default: the newest backup."),
    ] = None,
    config: ConfigOption = None,
    state_dir: StateOption = None,
    force: ForceOption = False,
) -> None:
    """Put a backup back; a backup of what lies there now is made before."""
    from proxy.config.backup import find_newest_backup, read_backup
    from proxy.config.problem import ConfigError

    place = _find_place(config, state_dir)
    config_path = _require_file(place)
    source = source or find_newest_backup(place.state_dir)
    if source is None:
        fail(f"There is no backup in {place.state_dir}: name a directory or a file.")
    try:
        with _telling_errors("The backup cannot be read"):
            contents = read_backup(source, config_path)
    except ConfigError as error:
        fail(str(error))
    _put_back(place, contents, str(source), f"restore from {source}", force)


def _find_place(config: Path | None, state_dir: Path | None) -> _Place:
    from proxy.config.problem import ConfigError
    from proxy.config.sources import find_config, find_state_dir

    environ = set_variables(state=state_dir)
    try:
        path = find_config(config, environ)
    except ConfigError:
        # It was named and is gone: to put it back is what these commands are for.
        path = config or Path(environ["PROXY_API_CONFIG"].strip())
    return _Place(path, find_state_dir(path, environ), environ)


def _open_history(place: _Place) -> "History":
    from proxy.config.history import DIRECTORY_NAME, History

    return History(place.state_dir / DIRECTORY_NAME)


def _read_entry(history: "History", generation: int) -> "HistoryEntry":
    from proxy.config.history import HistoryBroken

    if not history.path_of(generation).is_dir():
        fail(
            f"There is no generation {generation} in {history.directory}: "
            "`llm-proxy config history` lists those that there are."
        )
    try:
        return history.read(generation)
    except HistoryBroken as error:
        fail(f"{error}.")


def _require_file(place: _Place) -> Path:
    if place.config_path is None:
        fail("The packaged configuration is in force: name a file of your own with --config.")
    return place.config_path


def _put_back(place: _Place, contents: "Contents", label: str, cause: str, force: bool) -> None:
    """Check, back up, write, and have a running server read it."""
    from proxy.config.backup import check_contents, keep_backup, put_back

    config_path = _require_file(place)
    problems = check_contents(contents, config_path, place.environ, label)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems and not force:
        fail("Nothing was written. It is written all the same with --force.")
    with _telling_errors("The files cannot be put back"):
        if kept := keep_backup(config_path, place.state_dir, time.time()):
            print(f"What was there is kept in {kept}.")
        for path in put_back(contents, config_path):
            is_gone = contents[path.name] is None
            print(f"{path} {'was removed' if is_gone else 'was written'}, as in {label}.")
    _ask_to_reload(place, cause)


def _ask_to_reload(place: _Place, cause: str) -> None:
    from proxy.config.sources import find_runtime_dir
    from proxy.control.client import AskFailed, ask_supervisor

    runtime_dir = find_runtime_dir(place.state_dir, place.environ)
    # Somebody has asked for exactly this: the guard against cut files need not ask again.
    arguments = {"cause": cause, "allow_shrink": True}
    try:
        answer = ask_supervisor(runtime_dir, "reload", arguments, "llm-proxy config")
    except AskFailed as error:
        fail(f"The files are in place, but the running server could not be asked: {error}")
    if answer is None:
        print("No server is running; the next one starts with it.")
    else:
        tell_reload(answer)


@contextmanager
def _telling_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fail(f"{what}: {error}")


def _build_row(entry: "HistoryEntry") -> tuple[str, str, str, str]:
    changes, *more = entry.changes or ("",)
    if more:
        changes = f"{changes} (and {len(more)} more)"
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.accepted_at))
    cause = _printable(entry.cause)
    if len(cause) > _LONGEST_CAUSE:
        cause = f"{cause[: _LONGEST_CAUSE - 1]}…"
    return str(entry.generation), at, cause, _printable(changes)


def _printable(text: str) -> str:
    # Names of files are in it, and a terminal obeys some characters.
    return "".join(char if char.isprintable() else "?" for char in text)


def _plain(path: Path) -> str:
    from os.path import abspath

    return abspath(path)
