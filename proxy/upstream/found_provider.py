"""
What a provider that was found may be: deny by default, since strangers may have written it.

Pure. The health worker asks before it writes `discovered.json`, and `config/` asks again when
it reads the file; the guard at the socket has the last word on where a host name leads to.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from proxy.domain.catalog import SIMULATOR_TYPE, WILDCARD
from proxy.domain.discovery import FoundProvider
from proxy.domain.errors import UpstreamAddressRefused
from proxy.upstream.guard import (
    Guard,
    find_url_problem,
    is_localhost,
    is_loopback,
    is_private_name,
    parse_literal,
)

MAX_MODELS = 1000
"""Of one provider that was found."""
MAX_URL_CHARACTERS = 2000

_ELSEWHERE = "https://elsewhere.invalid"


def find_fault(found: FoundProvider, private_networks: Sequence[str]) -> str | None:
    """
    Return why a provider that was found is left out, None if it may be used.

    Args:
        found: what was found.
        private_networks: where it may be although that is not public; a local server needs none.
    """
    if found.type == SIMULATOR_TYPE:
        return "the simulator is never found: its answers are not real ones"
    if WILDCARD in found.models:
        return "'*' would take every model; its models have to be named"
    if not found.models:
        return "it names no models"
    if len(found.models) > MAX_MODELS:
        return f"it names more than {MAX_MODELS} models"
    return _find_address_fault(found, private_networks)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    is_plain = text.isascii() and text.isprintable() and not set(text) & set(" @?#\\")
    return is_whole and is_plain and len(text) <= MAX_URL_CHARACTERS


def _find_address_fault(found: FoundProvider, private_networks: Sequence[str]) -> str | None:
    if not _is_url(found.base_url):
        return "its address is no plain http or https URL"
    problem = find_url_problem(found.base_url)
    if problem is not None:
        return problem[0]
    if found.found_by == "local":
        return None if is_loopback(found.base_url) else "a local server is on this machine only"
    parts = urlsplit(found.base_url)
    host = parts.hostname or ""
    literal = parse_literal(host)
    if literal is None and not is_localhost(host):
        # Where a name leads to is judged at each dial. In clear only names of one's own network.
        is_in_clear = parts.scheme == "http" and not is_private_name(found.base_url)
        return "https is needed for a public name" if is_in_clear else None
    address = "127.0.0.1" if literal is None else str(literal)
    public = Guard(_ELSEWHERE)
    try:
        Guard(_ELSEWHERE, private_networks).check((address,))
    except UpstreamAddressRefused:
        return "its address is not public, and not in discovery.private_networks"
    try:
        public.check((address,))
    except UpstreamAddressRefused:
        return None
    return "https is needed for a public address" if parts.scheme == "http" else None
