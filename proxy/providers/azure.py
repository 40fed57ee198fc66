"""
The provider type `azure`: OpenAI's format at Azure, where the model is a deployment of one's own.

Azure has two surfaces. With `api_version` a deployment has a path of its own, without it there is
one path for all, as at OpenAI. What comes back is OpenAI's format with results of filters beside
it, which clients get as they came.

Source: wire-formats §4.2; docs/providers.md says what could not be verified.
"""

import re
from urllib.parse import quote

from proxy.domain.catalog import Provider
from proxy.domain.errors import NotOffered
from proxy.domain.health import ProbeReading
from proxy.providers.kind import WITH_RESPONSES, Kind, list_passes
from proxy.providers.openai_format import OpenAIFormat

AZURE = Kind(
    type="azure",
    title="Azure OpenAI",
    base_url=None,
    key_variables=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
    appends_v1=False,
    operations=WITH_RESPONSES,
    limit_field="max_completion_tokens",
    has_openai_models=True,
    tool_choices="sets",
    has_versions=True,
    passes=list_passes(
        *("audio/speech", "audio/transcriptions", "audio/translations"),
        *("images/generations", "images/edits", "files", "batches"),
    ),
)

_V1_VERSIONS = frozenset((None, "v1", "latest", "preview"))
"""What operators write for the surface that needs no version."""
_SURFACES = ("/openai/v1", "/openai")
"""What a `base_url` may end with; where both surfaces begin stands in front of it."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST_WITH_USAGE = "2024-09-01"
"""Before this version `stream_options` is a field that Azure does not know."""
_NO_DEPLOYMENTS = frozenset((".", ".."))


class Azure(OpenAIFormat):
    """A ProviderType (see `providers/base.py`)."""

    _key_header = "api-key"

    def __init__(self) -> None:
        super().__init__(AZURE)

    def _build_url(self, provider: Provider, path: str, model: str) -> str:
        if provider.api_version in _V1_VERSIONS:
            return self._build_v1_url(provider, path)
        if path.startswith(WITH_RESPONSES["responses"]):
            # Here it is the body that names the deployment.
            return self._add_version(provider, f"/openai{path}")
        if model in _NO_DEPLOYMENTS:
            # A client may have made this name up, and in a path it means another path.
            raise NotOffered("No deployment has this name.", param="model")
        deployment = quote(model, safe="")
        return self._add_version(provider, f"/openai/deployments/{deployment}{path}")

    def _build_passed_url(self, provider: Provider, path: str, model: str) -> str:
        if model or provider.api_version in _V1_VERSIONS:
            return self._build_url(provider, path, model)
        # Files and batches are of the resource, and of none of its deployments.
        return self._add_version(provider, f"/openai{path}")

    def _build_probe_url(self, provider: Provider) -> str:
        if provider.probe.path is not None:
            return provider.base_url + provider.probe.path
        # It lists what a resource could have deployed: its key and address are good, no more.
        if provider.api_version in _V1_VERSIONS:
            return self._build_v1_url(provider, "/models")
        return self._add_version(provider, "/openai/models")

    def read_probe(self, provider: Provider, status: int, body: bytes) -> ProbeReading:
        """Return what an answer to a probe says (see `providers/base.py`)."""
        reading = super().read_probe(provider, status, body)
        # The models of its list could be deployed; which are, and under which names, it hides.
        return ProbeReading(reading.state, "answers") if reading.models else reading

    def _may_ask_usage(self, provider: Provider) -> bool:
        date = _DATE.match(provider.api_version or "")
        return date is None or date[0] >= _FIRST_WITH_USAGE

    def _build_v1_url(self, provider: Provider, path: str) -> str:
        url = f"{_find_root(provider)}/openai/v1{path}"
        # What is still in preview is had only by saying so.
        return f"{url}?api-version=preview" if provider.api_version == "preview" else url

    def _add_version(self, provider: Provider, path: str) -> str:
        return f"{_find_root(provider)}{path}?api-version={provider.api_version}"


def _find_root(provider: Provider) -> str:
    url = provider.base_url
    for surface in _SURFACES:
        if url.endswith(surface):
            return url.removesuffix(surface)
    return url
