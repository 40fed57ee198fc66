"""How commands ask the server that runs."""

from pathlib import Path
from typing import Any

from proxy.cli.options import set_variables
from proxy.cli.tell import fail


def ask_server(
    config: Path | None, state_dir: Path | None, what: str, arguments: dict[str, Any]
) -> Any:
    """Ask the server that runs with this configuration; fail if there is none or it refuses."""
    from proxy.config.problem import ConfigError
    from proxy.config.sources import find_config, find_runtime_dir, find_state_dir
    from proxy.control.client import AskFailed, ask_supervisor

    environ = set_variables(state=state_dir)
    try:
        found = find_state_dir(find_config(config, environ), environ)
        runtime_dir = find_runtime_dir(found, environ)
        answer = ask_supervisor(runtime_dir, what, arguments, f"llm-proxy {what.replace('_', '-')}")
    except (ConfigError, AskFailed) as error:
        fail(str(error))
    if answer is None:
        fail(
            f"No server listens in {runtime_dir}. Start it, or name its configuration with "
            "--config, or where its state is with --state-dir."
        )
    return answer
