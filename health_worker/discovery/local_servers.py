"""LM Studio, llama.cpp and Ollama, each at its own port of this machine."""

import asyncio
from collections.abc import Collection

from msgspec import Struct

from health_worker.discovery.candidate import DEFAULT_TYPE, Candidate, Found
from health_worker.discovery.models import ModelAsker
from proxy.domain.discovery import SourceName
from proxy.providers.registry import find_kind

HOST = "127.0.0.1"


class LocalServer(Struct, frozen=True):
    """A program that serves models, and the port that it opens unless it is told otherwise."""

    name: str
    type: str
    port: int


SERVERS = (
    LocalServer("local-lm-studio", "lm_studio", 1234),
    LocalServer("local-llama-cpp", "llama_cpp", 8080),
    LocalServer("local-ollama", "ollama", 11434),
)


class LocalServersSource:
    """A Source (see `discovery/base.py`) that asks each port which models are there."""

    name: SourceName = "local"
    waits_itself = False

    def __init__(
        self,
        asker: ModelAsker,
        own_ports: Collection[int] = (),
        servers: Collection[LocalServer] = SERVERS,
    ) -> None:
        """
        Take who asks, and where.

        Args:
            asker: asks servers for their models.
            own_ports: where this proxy itself listens, which is no provider.
            servers: the programs to look for.
        """
        self._asker = asker
        self._servers = [server for server in servers if server.port not in own_ports]
        self._last: dict[str, Candidate] = {}

    async def next(self) -> Found:
        """Return the servers that answer (see `discovery/base.py`)."""
        return await self.find()

    async def find(self) -> Found:
        """Return the servers that answer (see `discovery/base.py`)."""
        looks = await asyncio.gather(*map(self._look, self._servers))
        self._last = {candidate.name: candidate for candidate in looks if candidate is not None}
        return Found(tuple(self._last.values()))

    async def close(self) -> None:
        """Nothing is open: the asker is not its own."""

    async def _look(self, server: LocalServer) -> Candidate | None:
        type_name = server.type if find_kind(server.type) is not None else DEFAULT_TYPE
        candidate = Candidate(server.name, f"http://{HOST}:{server.port}/v1", type_name)
        asked = await self._asker.ask(candidate, self.name)
        if asked.models:
            return Candidate(server.name, candidate.base_url, type_name, asked.models)
        # Where nobody listens there is no server; one that is busy or loads a model is still one.
        return None if asked.is_refused else self._last.get(server.name)
