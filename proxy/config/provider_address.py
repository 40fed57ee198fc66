"""What is wrong or doubtful about where a provider is: its `base_url` and `private_networks`."""

from collections.abc import Iterator

from proxy.config.node import Node
from proxy.config.problem import Problem
from proxy.config.provider_schema import ProviderEntry
from proxy.providers.kind import Kind
from proxy.upstream.guard import find_url_problem, is_never_allowed, is_private_name

Steps = tuple[str | int, ...]


def find_address_problems(
    entry: ProviderEntry, kind: Kind, tree: Node, steps: Steps
) -> Iterator[Problem]:
    """Yield what keeps a provider from ever being reached."""
    if kind.base_url is None and entry.base_url is None and tree.find(*steps, "base_url") is None:
        what = f"'base_url' is missing here, and the type '{kind.type}' has no address of its own"
        mend = "add a line 'base_url: http://host:port/v1'"
        yield Problem(tree.place_of(*steps), what, mend)
    found = None if entry.base_url is None else find_url_problem(entry.base_url)
    if found is not None:
        what, mend = found
        yield Problem(tree.place_of(*steps, "base_url"), f"base_url: {what}", mend)
    for index, network in enumerate(entry.private_networks):
        if is_never_allowed(network):
            place = tree.place_of(*steps, "private_networks", index)
            what = "private_networks: no provider is ever reached at these addresses"
            yield Problem(place, what, "remove them")


def find_address_doubts(entry: ProviderEntry, tree: Node, steps: Steps) -> Iterator[Problem]:
    """Yield a warning for a name whose addresses will be refused, as far as a name can tell."""
    if entry.base_url is None or entry.private_networks or not is_private_name(entry.base_url):
        return
    if entry.proxy is not None:
        return  # what the name leads to is the proxy's business
    what = "base_url: this name looks like one of a private network, where nothing is allowed yet"
    mend = "name the network in private_networks, such as ['172.16.0.0/12']"
    yield Problem(tree.place_of(*steps, "base_url"), what, mend)
