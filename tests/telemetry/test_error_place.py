"""Type and place of an exception."""

import json

from proxy.domain.errors import ProxyError, UpstreamTimeout
from proxy.domain.secret import Secret
from proxy.telemetry.error_place import read_error_place, read_error_type


def _catch(function: object, *args: object) -> BaseException:
    assert callable(function)
    try:
        function(*args)
    except (ValueError, TypeError, ProxyError) as error:
        return error
    raise AssertionError("nothing was raised")


def test_type_has_its_module() -> None:
    """The type is named with its module, a built-in one without."""
    assert read_error_type(UpstreamTimeout()) == "proxy.domain.errors.UpstreamTimeout"
    assert read_error_type(ValueError("secret text")) == "ValueError"


def test_place_is_ours_where_there_is_one() -> None:
    """A frame of this project is named before one of a library further in."""
    place = read_error_place(_catch(Secret("x").__reduce__))

    assert place is not None
    file, line, function = place.split(":")
    assert (file, function) == ("proxy/domain/secret.py", "__reduce__")
    assert line.isdigit()


def test_place_in_a_library_is_the_innermost() -> None:
    """Without a frame of ours the innermost one is named, by its file name alone."""
    place = read_error_place(_catch(json.loads, "{"))

    assert place is not None
    assert place.startswith("decoder.py:")
    assert place.endswith(":raw_decode")


def test_never_raised_has_no_place() -> None:
    """An exception that was made but not raised has no place."""
    assert read_error_place(ValueError()) is None
