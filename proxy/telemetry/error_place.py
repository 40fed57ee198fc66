"""
What a log may say about an exception: its type and where it was raised, never its text.

The text of an exception may hold a key, a prompt or an upstream's page; its type and place
do not. `logs.py` calls it for every line that carries an exception.
"""

from types import TracebackType

_OURS = ("/proxy/", "/health_worker/")
_INSTALLED = "/site-packages/"


def read_error_type(error: BaseException) -> str:
    """Return `module.Class` of an exception, the bare class for a built-in one."""
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else (f"{kind.__module__}.{kind.__qualname__}")
    )


def read_error_place(error: BaseException) -> str | None:
    """
    Return `file:line:function` where `error` was raised, None if it never was.

    The innermost frame of this project is named where there is one, else the innermost of
    all: a fault inside a library is found from where we called it.
    """
    place: str | None = None
    is_ours = False
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        file, ours = shorten_path(code.co_filename)
        if ours or not is_ours:
            place = f"{file}:{traceback.tb_lineno}:{code.co_name}"
            is_ours = is_ours or ours
        traceback = traceback.tb_next
    return place


def shorten_path(path: str) -> tuple[str, bool]:
    """Return a source file without the machine's part of its path, and whether it is ours."""
    _, mark, after = path.rpartition(_INSTALLED)
    if mark and not after.startswith(("proxy/", "health_worker/")):
        return after, False
    for package in _OURS:
        _, mark, after = path.rpartition(package)
        if mark:
            return package[1:] + after, True
    return path.rpartition("/")[2], False
