"""A served proxy whose configuration is edited: what is written, and what comes of it."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from proxy.control.client import ask_supervisor
from tests.end_to_end.served import (
    ADMIN_KEY,
    KEY,
    Line,
    ServedProxy,
    build_config,
    running,
    write_config,
)
from tests.fakes.ports import find_port

CONFIG_LOGGER = "llm_proxy.config"


class LiveProxy(ServedProxy):
    """A proxy, with the file that it is configured by."""

    path: Path
    state_dir: Path

    def write(self, config: Mapping[str, Any] | str | bytes) -> int:
        """Write the configuration in place; return the mark before it."""
        mark = self.mark
        data = config if isinstance(config, str | bytes) else json.dumps(config, indent=2)
        self.path.write_bytes(data.encode() if isinstance(data, str) else data)
        return mark

    def replace(self, config: Mapping[str, Any]) -> int:
        """Put a new file in the place of the old one, as editors do; return the mark before it."""
        mark = self.mark
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(config, indent=2))
        os.replace(beside, self.path)
        return mark

    def wait_for_reload(self, since: int) -> Line:
        """Return the line that says what the next reload since a mark has come to."""

        def is_result(text: str) -> bool:
            line = json.loads(text)
            return line["logger"] == CONFIG_LOGGER and "result" in line

        found: Line = json.loads(self.program.wait_for_line(is_result, since))
        return found

    def wait_for_news(self, since: int) -> Line:
        """
        Return the line of the next reload since a mark that came to anything.

        Files that were read on order are looked at once more, which may say late that nothing
        has changed.
        """

        def is_news(text: str) -> bool:
            line = json.loads(text)
            is_config: bool = line["logger"] == CONFIG_LOGGER
            return is_config and line.get("result", "unchanged") != "unchanged"

        found: Line = json.loads(self.program.wait_for_line(is_news, since))
        return found

    def reload(self, **arguments: Any) -> dict[str, Any]:
        """Have the configuration read, and return what came of it once that is in the log."""
        mark = self.mark
        answer = self.ask("reload", **arguments)
        self.wait_for_reload(mark)
        return answer

    def said(self, since: int = 0) -> list[str]:
        """Return what the configuration's logger has said since a mark."""
        lines = [json.loads(text) for text in list(self.program.lines)[since:]]
        return [line["message"] for line in lines if line["logger"] == CONFIG_LOGGER]

    def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Ask the supervisor as commands do."""
        answer = ask_supervisor(self.state_dir / "run", what, arguments, "a test")
        assert answer is not None, "nobody listens on the control socket"
        return answer

    async def get(self, path: str, key: str | None = ADMIN_KEY) -> tuple[int, Any]:
        """Return status and JSON of one GET on a connection of its own."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with (
            aiohttp.ClientSession(self.url, headers=headers) as session,
            session.get(path) as answer,
        ):
            return answer.status, await answer.json()

    async def post(
        self, path: str, body: Any = None, key: str | None = ADMIN_KEY
    ) -> tuple[int, Any]:
        """Return status and JSON of one POST on a connection of its own."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with (
            aiohttp.ClientSession(self.url, headers=headers) as session,
            session.post(path, json=body) as answer,
        ):
            return answer.status, await answer.json()

    async def list_models(self) -> list[str]:
        """Return the names that clients can ask for."""
        status, body = await self.get("/v1/models", KEY)
        assert status == 200, body
        return [model["id"] for model in body["data"]]


def build_live_config(*models: str, **changes: Any) -> dict[str, Any]:
    """Return a configuration whose models are these aliases of the simulator."""
    routes = [
        {"alias": name, "targets": [{"provider": "simulator", "model": "sim-echo"}]}
        for name in models
    ]
    return build_config(admin_keys=[ADMIN_KEY], routes=routes, **changes)


@contextmanager
def living(
    folder: Path,
    config: Mapping[str, Any],
    *,
    path: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[LiveProxy]:
    """Serve a configuration out of a folder, and hold the processes to a good end."""
    with starting_live(folder, config, path=path, variables=variables) as live:
        yield live
        live.check_end(live.program.stop())


@contextmanager
def starting_live(
    folder: Path,
    config: Mapping[str, Any],
    *,
    path: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[LiveProxy]:
    """Serve a configuration out of a folder; how it ends is the caller's to judge."""
    path = write_config(folder, config) if path is None else path
    port, state_dir = find_port(), folder / "state"
    arguments = ("serve", "--config", str(path), "--port", str(port), "--state-dir", str(state_dir))
    with running(*arguments, cwd=folder, variables=variables) as program:
        live = LiveProxy(program, port, program.wait_for_answer(port, "/health"))
        live.path, live.state_dir = path, state_dir
        # Only then it listens to signals, and looks at its files.
        program.wait_for_line(lambda line: '"serving"' in line)
        yield live
