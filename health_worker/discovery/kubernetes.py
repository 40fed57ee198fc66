"""
EndpointSlices of a Kubernetes cluster: listed once, then watched from where the list has ended.

Source: kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of changes".
"""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import Raw, Struct, field

from health_worker.discovery.base import SourceFailed
from health_worker.discovery.candidate import (
    DEFAULT_TYPE,
    Candidate,
    Found,
    build_name,
    build_url,
)
from health_worker.discovery.fetch import Fetcher, Stream
from proxy.domain.discovery import KubernetesSettings, SourceName
from proxy.providers.registry import find_kind

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "https://kubernetes.default.svc"
TYPE_LABEL = "llm-proxy/type"
PATH_LABEL = "llm-proxy/path"
SERVICE_LABEL = "kubernetes.io/service-name"

WATCH_S = 300
"""How long the API server is asked to keep a watch open; then it is resumed."""
SILENCE_S = WATCH_S + 30.0
PAUSE_S = 1.0
"""Before a watch is opened again that has ended without a word."""
_PAGE = 500
_MAX_PAGES = 20
_GONE = 410


class _Metadata(Struct):
    name: str = ""
    resource_version: str = field(name="resourceVersion", default="")
    labels: dict[str, str] | None = None
    next_page: str = field(name="continue", default="")


class _Conditions(Struct, frozen=True):
    ready: bool | None = None


class _Endpoint(Struct):
    addresses: list[str] = []
    conditions: _Conditions = _Conditions()


class _Port(Struct):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    app_protocol: str | None = field(name="appProtocol", default=None)


class _Slice(Struct):
    metadata: _Metadata
    address_type: str = field(name="addressType", default="IPv4")
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


class _List(Struct):
    metadata: _Metadata
    items: list[_Slice] | None = None


class _Event(Struct):
    type: str
    object: Raw


class _Status(Struct):
    code: int = 0


class _Bookmark(Struct):
    metadata: _Metadata


class KubernetesSource:
    """A Source (see `discovery/base.py`) that watches."""

    name: SourceName = "kubernetes"
    waits_itself = True

    def __init__(
        self,
        settings: KubernetesSettings,
        environ: Mapping[str, str] = os.environ,
        account: Path = SERVICE_ACCOUNT,
        pause_s: float = PAUSE_S,
    ) -> None:
        """
        Take where the API is; what is not set is what a pod finds in itself.

        Args:
            settings: of the configuration.
            environ: where a pod finds the API server's address.
            account: the directory with a pod's token, authority and namespace.
            pause_s: the wait before a watch is opened again that has ended without a word.
        """
        self._settings = settings
        self._token_file = Path(settings.token_file or account / "token")
        self._namespace_file = account / "namespace"
        self._pause_s = pause_s
        url = settings.api_url or find_api(environ)
        ca_file = settings.ca_file
        if ca_file is None and settings.api_url is None:
            ca_file = str(account / "ca.crt")
        self._fetcher = Fetcher(url, ca_file)
        self._slices: dict[str, _Slice] = {}
        self._version: str | None = None
        self._stream: Stream | None = None
        self._has_spoken = False

    async def next(self) -> Found:
        """Return all ready endpoints, anew with each change (see `discovery/base.py`)."""
        try:
            while True:
                if self._version is None:
                    self._close_stream()
                    self._slices, self._version = await self._list()
                    return self._build(self._slices)
                if await self._watch():
                    return self._build(self._slices)
        except SourceFailed:
            self._close_stream()
            raise

    async def find(self) -> Found:
        """Return all ready endpoints by a list of its own (see `discovery/base.py`)."""
        slices, _ = await self._list()
        return self._build(slices)

    async def close(self) -> None:
        """Close every connection."""
        self._close_stream()
        await self._fetcher.close()

    async def _list(self) -> tuple[dict[str, _Slice], str]:
        slices: dict[str, _Slice] = {}
        page = ""
        for _ in range(_MAX_PAGES):
            query = {"limit": str(_PAGE), **({"continue": page} if page else {})}
            answer = await self._fetcher.get(self._path(query), self._headers())
            if answer.status == _GONE and page:
                slices, page = {}, ""  # the pages have expired: from the first one again
                continue
            _check(answer.status)
            found = _decode(answer.body, _List)
            slices.update({item.metadata.name: item for item in found.items or ()})
            page = found.metadata.next_page
            if not page:
                return slices, found.metadata.resource_version
        raise SourceFailed("its list has too many pages")

    async def _watch(self) -> bool:
        """Take the next events and return whether they have changed a slice."""
        if self._stream is None:
            query = {
                "watch": "1",
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(WATCH_S),
                "resourceVersion": self._version or "",
            }
            self._has_spoken = False
            self._stream = await self._fetcher.stream(self._path(query), self._headers())
            if self._stream.status == _GONE:
                self._version = None
                return False
            _check(self._stream.status)
        line = await self._stream.read_line(SILENCE_S)
        if line is None:
            self._close_stream()
            if not self._has_spoken:
                await asyncio.sleep(self._pause_s)
            return False
        self._has_spoken = True
        has_changed = self._take(line)
        # A rollout tells many at once; they are one change.
        while self._version is not None and self._stream.has_line:
            more = await self._stream.read_line(SILENCE_S)
            has_changed = self._take(more or b"") or has_changed
        return has_changed and self._version is not None

    def _take(self, line: bytes) -> bool:
        event = _decode(line, _Event)
        if event.type == "ERROR":
            if _decode(event.object, _Status).code != _GONE:
                raise SourceFailed("its watch has ended with an error")
            self._version = None  # too old: what has happened since is only in a new list
            return False
        if event.type == "BOOKMARK":
            self._version = _decode(event.object, _Bookmark).metadata.resource_version
            return False
        item = _decode(event.object, _Slice)
        self._version = item.metadata.resource_version
        if event.type == "DELETED":
            return self._slices.pop(item.metadata.name, None) is not None
        before = self._slices.get(item.metadata.name)
        self._slices[item.metadata.name] = item
        return before is None or _bare(before) != _bare(item)

    def _build(self, slices: Mapping[str, _Slice]) -> Found:
        candidates: dict[str, Candidate] = {}
        problems: list[str] = []
        for _, item in sorted(slices.items()):
            port = self._find_port(item)
            if port is None or port.port is None:
                problems.append(f"slice {item.metadata.name[:80]} has no such port")
                continue
            for candidate in _list_candidates(item, port, port.port):
                candidates.setdefault(candidate.name, candidate)
        return Found(tuple(candidates.values()), tuple(problems))

    def _find_port(self, item: _Slice) -> _Port | None:
        wanted = self._settings.port
        for port in item.ports or ():
            if port.protocol in (None, "TCP") and wanted in (None, port.name):
                return port
        return None

    def _path(self, query: Mapping[str, str]) -> str:
        namespace = self._settings.namespace or _read_text(self._namespace_file) or "default"
        where = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        selector = {"labelSelector": self._settings.label_selector}
        return f"{where}?{urlencode({**selector, **query})}"

    def _headers(self) -> dict[str, str]:
        # Read each time: the kubelet puts a new one there before the old one expires.
        token = _read_text(self._token_file)
        if token is None:
            raise SourceFailed("its token file cannot be read")
        return {"Authorization": f"Bearer {token}"}

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _list_candidates(item: _Slice, port: _Port, number: int) -> Iterator[Candidate]:
    labels = item.metadata.labels or {}
    service = labels.get(SERVICE_LABEL) or item.metadata.name
    type_name = labels.get(TYPE_LABEL, DEFAULT_TYPE)
    scheme = "https" if port.app_protocol == "https" else "http"
    if item.address_type not in ("IPv4", "IPv6") or find_kind(type_name) is None:
        return
    for endpoint in item.endpoints or ():
        # Nobody has said anything is as good as ready.
        if endpoint.conditions.ready is False or not endpoint.addresses:
            continue
        # They are interchangeable; the first is the one to use.
        address = endpoint.addresses[0]
        url = build_url(scheme, address, number, labels.get(PATH_LABEL), type_name)
        yield Candidate(build_name(service, address), url, type_name)


def _bare(item: _Slice) -> tuple[Any, ...]:
    """Return what of a slice counts here; much else in it changes."""
    return item.metadata.labels, item.address_type, item.endpoints, item.ports


def find_api(environ: Mapping[str, str]) -> str:
    """Return where a pod's API server is."""
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    if not host:
        return IN_CLUSTER
    port = environ.get("KUBERNETES_SERVICE_PORT", "") or "443"
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _read_text(path: Path) -> str | None:
    """Return what a small file says, None if it says nothing that can be sent."""
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, ValueError):
        return None
    return text if text and text.isascii() and text.isprintable() and " " not in text else None


def _check(status: int) -> None:
    if status in (401, 403):
        raise SourceFailed(f"its token may not list and watch EndpointSlices (status {status})")
    if status != 200:
        raise SourceFailed(f"it answers with status {status}")


def _decode(data: Raw | bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError):
        raise SourceFailed("its answer cannot be read") from None
