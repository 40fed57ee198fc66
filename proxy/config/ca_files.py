"""The `ca_file` of providers: those that nothing can be trusted by, yet, are warned of."""

from collections.abc import Iterable, Iterator

from proxy.config.node import Node
from proxy.config.problem import Problem
from proxy.config.validate import CheckedProvider
from proxy.upstream.tls import find_fault


def find_faulty_ca_files(providers: Iterable[CheckedProvider], tree: Node) -> Iterator[Problem]:
    """
    Yield a warning for each file that cannot be read, or holds no certificate.

    It is no error: the file may come later, and is looked for then, while the others serve.

    Args:
        providers: the checked entries; who is switched off needs no file.
        tree: the effective tree, which knows where each setting stands.
    """
    for provider in providers:
        path = provider.entry.ca_file
        if path is None or not provider.entry.enabled:
            continue
        fault = find_fault(path)
        if fault is not None:
            place = tree.place_of(*provider.steps, "ca_file")
            what = f"ca_file: this file cannot be read, or holds no certificate ({fault})"
            yield Problem(place, what, "name a PEM file that the server's user can read")
