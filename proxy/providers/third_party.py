"""
Provider types that other packages bring, found by their entry points.

`registry.py` asks here, and only for a type that is not built in: until one is configured nothing
is searched for and no foreign code runs. What a package gets wrong is a `PackageFault`, which
names the package.
"""

from collections.abc import Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

import msgspec

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.errors import NotOffered
from proxy.domain.exchange import OutboundRequest
from proxy.domain.settings import Clocks
from proxy.providers.base import ProviderType
from proxy.providers.kind import Kind
from proxy.providers.openai_format import OpenAIFormat
from proxy.providers.quirks import has_repair
from proxy.wire.base import Ask

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "llm_proxy.providers"
"""The group of entry points; the name of one is the type, its object a `Kind` or a ProviderType."""

_LONGEST_REASON = 200
_MEMBERS = (
    *ProviderType.__annotations__,
    *(name for name, value in vars(ProviderType).items() if isinstance(value, FunctionType)),
)
"""What a ProviderType has, by its interface."""
_EXAMPLE_URL = "https://provider.example/v1"


class PackageFault(Exception):
    """A package brings a type that cannot be used; `what` names it, `mend` says what to do."""

    def __init__(self, what: str, mend: str) -> None:
        self.what = what
        self.mend = mend
        super().__init__(f"{what}: {mend}")


class MissingType(OpenAIFormat):
    """Stands for a type whose package this process cannot use: it is asked for nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(Kind(type=name, title=name, base_url=None))

    def build_request(
        self, ask: Ask, deployment: Deployment, trace_headers: Mapping[str, str]
    ) -> OutboundRequest:
        """Refuse (see `providers/base.py`): another provider may do it."""
        raise NotOffered(
            f"The provider of '{ask.model}' is of a type that this server has no package for.",
            param="model",
            code="unsupported_operation",
        )

    def build_probe(self, provider: Provider, clocks: Clocks) -> OutboundRequest | None:
        """Return None: there is nothing to ask it."""
        return None


def read_third_party(type_name: str) -> tuple[Kind, ProviderType] | None:
    """
    Return the type of that name from the installed package that brings it, None if none does.

    This reads the disk and runs the package's code: it is for the moment in which a
    configuration is read, or comes into force in a process.

    Raises:
        PackageFault: it cannot be imported, is no type, or two packages bring it.

    Source: docs/decisions/0032-providers-of-other-packages.md.
    """
    # It loads much that nobody else needs.
    from importlib.metadata import entry_points

    try:
        found = list(entry_points(group=GROUP, name=type_name))
        packages = sorted({_name_package(point) for point in found})
    except Exception as error:  # noqa: BLE001
        # The files of every package are read: one that is broken need not be any of ours.
        what = f"what the installed packages bring cannot be read: {_describe(error)}"
        raise PackageFault(what, "repair the package, or remove it") from None
    if not found:
        return None
    if len(found) > 1:
        what = f"the packages {' and '.join(map(repr, packages))} both bring this type"
        raise PackageFault(what, "uninstall one of them")
    (package,) = packages
    try:
        brought = found[0].load()
    except (Exception, SystemExit) as error:  # noqa: BLE001
        # Foreign code may raise anything: it must end neither a check nor the server.
        raise _fault(package, f"cannot be imported: {_describe(error)}") from None
    try:
        if isinstance(brought, Kind):
            return _check_kind(brought, type_name, package), OpenAIFormat(brought)
        return _check_type(brought, type_name, package)
    except PackageFault:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001
        # As above: what a name leads to may be a property.
        raise _fault(package, f"cannot be looked at: {_describe(error)}") from None


def _check_type(brought: Any, type_name: str, package: str) -> tuple[Kind, ProviderType]:
    """Return what implements ProviderType, after it has been tried once."""
    if isinstance(brought, type):
        raise _fault(package, "names a class: name an object of it")
    missing = [name for name in ("kind", *_MEMBERS) if not hasattr(brought, name)]
    if missing:
        raise _fault(package, f"lacks {', '.join(missing)}")
    if brought.name != type_name or not isinstance(brought.kind, Kind):
        raise _fault(package, f"must have the name '{type_name}', and a Kind as its kind")
    kind = _check_kind(brought.kind, type_name, package)
    provider_type = cast(ProviderType, brought)
    try:
        # The health worker does this for every provider before it does anything else.
        probed = Provider("it", type_name, kind.base_url or _EXAMPLE_URL)
        provider_type.build_probe(probed, Clocks())
    except (Exception, SystemExit) as error:  # noqa: BLE001
        # As above.
        raise _fault(package, f"cannot build a probe: {_describe(error)}") from None
    return kind, provider_type


def _check_kind(kind: Kind, type_name: str, package: str) -> Kind:
    """Return a kind whose members are what they are declared to be."""
    if kind.type != type_name:
        raise _fault(package, f"has a Kind whose type is not '{type_name}'")
    try:
        msgspec.convert(msgspec.to_builtins(kind, enc_hook=_unwrap), Kind)
    except (msgspec.ValidationError, TypeError) as error:
        raise _fault(package, f"has a Kind that is not valid: {_describe(error)}") from None
    if kind.quirk is not None and not has_repair(kind.quirk):
        raise _fault(package, "has a Kind whose quirk is none of proxy/providers/quirks.py")
    return kind


def _unwrap(value: Any) -> dict[Any, Any]:
    """Return a mapping of any kind as the one kind that can be checked."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a member is a {type(value).__name__}")


def _fault(package: str, what: str) -> PackageFault:
    return PackageFault(
        f"the package '{package}', which brings this type, {what}",
        "update or repair it, or remove the provider",
    )


def _name_package(point: "EntryPoint") -> str:
    return (point.dist and point.dist.name) or "(unknown)"


def _describe(error: BaseException) -> str:
    """Return one line about what foreign code has raised."""
    name = type(error).__name__
    try:
        words = "".join(each if each.isprintable() else " " for each in str(error))
    except Exception:  # noqa: BLE001
        # What it is called is all that can be said of it.
        return name
    text = " ".join(words.split())[:_LONGEST_REASON]
    return f"{name}: {text}" if text else name
