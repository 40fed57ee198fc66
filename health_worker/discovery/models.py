"""Asks servers themselves which models they have, as a free probe does."""

from msgspec import Struct

from health_worker.discovery.candidate import Candidate
from health_worker.probe import REFUSED, Prober
from health_worker.targets import Target
from proxy.domain.catalog import Provider
from proxy.domain.discovery import DiscoverySettings, FoundProvider, SourceName
from proxy.domain.health import ProbeSettings
from proxy.providers.registry import find_kind
from proxy.upstream.found_provider import find_fault

ASK_S = 3.0
_PATH = "/models"
_UNNAMED = ("unnamed",)
"""Stands for the models that are about to be asked for."""


class Asked(Struct, frozen=True):
    """What a server has answered: its models, or why there are none."""

    models: tuple[str, ...] = ()
    reason: str = ""
    is_refused: bool = False
    """Nobody listens there."""


class ModelAsker:
    """Asks servers that were found; with the key of the search, and with no other."""

    def __init__(self, settings: DiscoverySettings) -> None:
        self._settings = settings
        self._prober = Prober()

    def update(self, settings: DiscoverySettings) -> None:
        """Go by other settings from now on."""
        self._settings = settings

    async def ask(self, candidate: Candidate, source: SourceName) -> Asked:
        """Return what a server says of its models; one at a forbidden address is not asked."""
        if find_kind(candidate.type) is None:
            return Asked(reason="its type is not known")
        found = FoundProvider(
            candidate.name, candidate.type, candidate.base_url, _UNNAMED, source, 0.0
        )
        networks = self._settings.private_networks
        fault = find_fault(found, networks)
        if fault is not None:
            return Asked(reason=fault)
        is_local = source == "local"
        provider = Provider(
            name=candidate.name,
            type=candidate.type,
            base_url=candidate.base_url,
            api_key=None if is_local else self._settings.api_key,
            private_networks=() if is_local else networks,
            probe=ProbeSettings(path=_PATH),
        )
        # Two sources may have the same name for servers of their own.
        result = await self._prober.probe(Target(f"{source} {candidate.name}", provider), ASK_S)
        reading = result.reading
        if reading.state == "healthy" and reading.models:
            return Asked(reading.models)
        reason = "it lists no models" if reading.state == "healthy" else reading.reason
        return Asked(reason=reason, is_refused=reading.reason == REFUSED)

    def rest(self) -> None:
        """Let go of the connections that wait for another question."""
        self._prober.keep({})

    async def close(self) -> None:
        """Close every connection."""
        await self._prober.close()
