"""What a change of the service's status says of its configuration, for those who listen."""

from collections.abc import Mapping

from proxy.domain.service import ConfigStatus


def describe_reload(before: ConfigStatus, after: ConfigStatus) -> Mapping[str, object] | None:
    """
    Return what has become of an edit, None if nothing has.

    `applied`: another configuration is served. `refused`: an edit is not in force. `mended`:
    what lies on disk is what is served, after it was not.
    """
    if after.generation != before.generation:
        result = "applied"
    elif after.last_error is not None and (
        after.last_error_at != before.last_error_at or after.last_error != before.last_error
    ):
        result = "refused"
    elif after.last_error is None and before.last_error is not None:
        result = "mended"
    else:
        return None
    return {
        "result": result,
        "generation": after.generation,
        "loaded_at": after.loaded_at,
        "last_error": after.last_error,
        "needs_restart": after.needs_restart,
    }
