"""A configuration in a folder, as a supervisor starts with it."""

import json
from pathlib import Path
from typing import Any

from proxy.supervisor.startup import First, Place, find_place, load_first
from tests import canaries

KEY = canaries.CLIENT_KEY


def build_file(*providers: str, **settings: Any) -> dict[str, Any]:
    """Return a configuration with these providers, each with a model of its own."""
    entries = [
        {
            "name": name,
            "type": "openai_compatible",
            "base_url": "http://127.0.0.1:9",
            "models": [f"{name}-model"],
        }
        for name in providers
    ]
    return {"api_keys": [KEY], "providers": entries, **settings}


class Folder:
    """A folder with a `config.yaml`, and its state beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.environ = {"PROXY_API_STATE_DIR": str(path / "state")}

    def write(self, config: dict[str, Any] | str) -> None:
        """Write the configuration; JSON is YAML."""
        self.config.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))

    def find(self) -> Place:
        """Find the place anew, as a start does."""
        return find_place(self.config, self.environ)

    def start(self) -> First:
        """Return what a start comes to now."""
        return load_first(self.find())
