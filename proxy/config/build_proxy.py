"""The `proxy` of a provider's entry -> a secret of the catalog, and what is wrong with it."""

import re
from collections.abc import Mapping

from msgspec import Struct

from proxy.config.environment import Variable, read_variable
from proxy.config.node import Node
from proxy.config.problem import Problem
from proxy.config.provider_schema import ProviderEntry
from proxy.config.reference import REFERENCE, build_node, is_withheld
from proxy.domain.catalog import SIMULATOR_TYPE
from proxy.domain.secret import Secret
from proxy.providers.kind import Kind
from proxy.upstream.guard import is_loopback, is_private_name
from proxy.upstream.outgoing_proxy import OutgoingProxy, parse_proxy

# Only what is named for it: nobody's key is sent somewhere as a proxy's address.
_READABLE = re.compile(r"PROXY_API_\w+\Z|\w+_PROXY\Z|\w+_proxy\Z")


class BuiltProxy(Struct, frozen=True):
    """What one provider is asked through."""

    url: Secret | None = None
    """None: it is asked directly, or something is wrong."""
    node: Node | None = None
    """The URL with the variable it was found in; None if it stands in the entry, or nowhere."""
    problem: Problem | None = None
    warnings: tuple[Problem, ...] = ()


def build_proxy(
    entry: ProviderEntry,
    kind: Kind,
    environment: Mapping[str, Variable],
    tree: Node,
    steps: tuple[str | int, ...],
) -> BuiltProxy:
    """Return the proxy that one entry names; its URL is shown in no problem."""
    if entry.proxy is None:
        return BuiltProxy()
    place = tree.place_of(*steps, "proxy")
    if kind.type == SIMULATOR_TYPE:
        problem = Problem(place, "proxy: the simulator is asked through nothing", "remove proxy")
        return BuiltProxy(problem=problem)
    if entry.transport != "aiohttp":
        what = f"proxy: the transport '{entry.transport}' goes through no proxy"
        mend = "add a line 'transport: aiohttp' to this provider"
        return BuiltProxy(problem=Problem(place, what, mend))
    text, node = entry.proxy.strip(), None
    reference = REFERENCE.match(text)
    if reference is not None:
        name = reference[1]
        if not _READABLE.match(name) or is_withheld(name):
            what = "proxy: this variable is not one that may hold a proxy's URL"
            mend = "use a name that begins with PROXY_API_ or ends in _PROXY"
            return BuiltProxy(problem=Problem(place, what, mend))
        variable = read_variable(environment, name)
        if variable is None:
            if not entry.enabled:
                return BuiltProxy()
            # To go around a proxy is never what its absence means.
            what, mend = f"proxy: {name} is not set", f"set {name}, or remove proxy"
            return BuiltProxy(problem=Problem(place, what, mend))
        node = build_node(variable)
        text, place = str(node.value), variable.place
    try:
        proxy = parse_proxy(text)
    except ValueError as error:
        what, _, mend = str(error).partition(": ")
        return BuiltProxy(problem=Problem(place, f"proxy: this URL {what}", mend))
    warnings = _find_doubts(entry, kind, proxy, tree, steps) if entry.enabled else ()
    return BuiltProxy(Secret(text), node, warnings=warnings)


def _find_doubts(
    entry: ProviderEntry,
    kind: Kind,
    proxy: OutgoingProxy,
    tree: Node,
    steps: tuple[str | int, ...],
) -> tuple[Problem, ...]:
    found = []
    if is_private_name(proxy.url) and not entry.private_networks:
        what = "proxy: its name looks like one of a private network, where nothing is allowed yet"
        mend = "name the network in private_networks, such as ['10.0.0.0/8']"
        found.append(Problem(tree.place_of(*steps, "proxy"), what, mend))
    if is_loopback(entry.base_url or kind.base_url or ""):
        what = "base_url: behind a proxy this is not this machine, but the proxy's own"
        place = tree.place_of(*steps, "base_url")
        found.append(Problem(place, what, "remove proxy, or name the provider's machine"))
    return tuple(found)
