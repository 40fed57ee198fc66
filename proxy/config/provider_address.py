"""What is wrong or doubtful about where a provider is: its `base_url` and `private_networks`."""

import re
from collections.abc import Iterator

from proxy.config.node import Node
from proxy.config.problem import Problem
from proxy.config.provider_schema import ProviderEntry
from proxy.providers.azure import AZURE
from proxy.providers.kind import Kind
from proxy.providers.registry import find_kind
from proxy.upstream.guard import find_url_problem, is_never_allowed, is_private_name

Steps = tuple[str | int, ...]

_AZURE_URL = "https://my-resource.openai.azure.com"

_OPERATION = re.compile(r"/(?:chat/completions|completions|embeddings|messages|responses)/?\Z")
_DEPLOYMENT = re.compile(r"/deployments(?:/.*)?\Z")
"""Paths that a `base_url` is copied with by mistake: the type adds them itself."""


def find_address_problems(
    entry: ProviderEntry, kind: Kind, tree: Node, steps: Steps
) -> Iterator[Problem]:
    """Yield what keeps a provider from ever being reached."""
    if kind.base_url is None and entry.base_url is None and tree.find(*steps, "base_url") is None:
        what = f"'base_url' is missing here, and the type '{kind.type}' has no address of its own"
        usual = _AZURE_URL if kind.type == AZURE.type else "http://host:port/v1"
        mend = f"add a line 'base_url: {usual}'"
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
    """Yield warnings for what an address is unlikely to have been meant for."""
    if entry.base_url is None:
        return
    is_azure = find_kind(entry.type) is AZURE
    path = (_DEPLOYMENT.search(entry.base_url) if is_azure else None) or _OPERATION.search(
        entry.base_url
    )
    if path is not None:
        what = "base_url: this ends with the path of a request, which is added to it once more"
        mend = f"end it in front of '/{path[0].split('/')[1]}'"
        yield Problem(tree.place_of(*steps, "base_url"), what, mend)
    if entry.private_networks or not is_private_name(entry.base_url):
        return
    if entry.proxy is not None:
        return  # what the name leads to is the proxy's business
    what = "base_url: this name looks like one of a private network, where nothing is allowed yet"
    mend = "name the network in private_networks, such as ['172.16.0.0/12']"
    yield Problem(tree.place_of(*steps, "base_url"), what, mend)
