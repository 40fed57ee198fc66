"""`llm-proxy import-litellm`: our configuration, made of LiteLLM's."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.tell import fail


def import_litellm(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="LiteLLM's config.yaml.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Write the configuration here.")
    ] = Path("config.yaml"),
    force: Annotated[
        bool, typer.Option("--force", help="Write it even if there is a file of that name.")
    ] = False,
) -> None:
    """Write a configuration that does what LiteLLM's does, and say what has no counterpart."""
    from proxy.config.durable_file import replace_file, write_new
    from proxy.config.litellm.convert import NotLiteLLM
    from proxy.config.litellm.convert import import_litellm as convert

    try:
        if output.exists() and output.samefile(source):
            fail(f"{output} is the file that is read: name another with --output.")
        imported = convert(_read(source))
    except (NotLiteLLM, OSError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        fail(f"{source} cannot be imported: {what}.")
    data = imported.write(source.name).encode()
    try:
        # It may hold keys: who may read it is the owner's to decide.
        if force:
            replace_file(output, data)
        else:
            write_new(output, data)
    except FileExistsError:
        fail(f"{output} is there already: write it all the same with --force.")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}.")
    for note in imported.notes:
        print(note, file=sys.stderr)
    config = imported.config
    print(f"{output} was written: {len(config['providers'])} providers, ", end="")
    print(f"{len(config['routes'])} routes. Look through it: llm-proxy check {output}")


def _read(path: Path) -> bytes:
    from proxy.config.litellm.convert import NotLiteLLM
    from proxy.config.sources import MAX_FILE_BYTES

    if path.exists() and not path.is_file():
        raise NotLiteLLM("it is no file")
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise NotLiteLLM("it is too large")
    return data
