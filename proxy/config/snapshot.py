"""
A snapshot as bytes: for the private socket from supervisor to worker, and for the sealed history.

The bytes hold every secret in clear. They are many small parts, so that a worker can answer
requests between two of them. Names of fields travel with the values: what another version has
written is read as well as it can be, with the defaults of what it did not know.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from proxy.domain.catalog import Deployment, Group, Provider, Snapshot, Strategy, StreamFailure
from proxy.domain.identity import Caller
from proxy.domain.secret import Secret
from proxy.domain.settings import Settings

PART_WEIGHT = 400
"""Names, deployments and callers in one part: about a third of a millisecond of a worker."""

K = TypeVar("K")
T = TypeVar("T")


class _Target(Struct, frozen=True, gc=False, array_like=True):
    """A deployment; `provider` is the number of its provider, in the order that they came in."""

    provider: int
    model: str
    priority: int
    weight: int


class _Group(Struct, frozen=True, gc=False):
    """A group; `alias` is the name that it is found under."""

    alias: str
    name: str
    targets: tuple[_Target, ...]
    strategy: Strategy
    fallbacks: tuple[str, ...]
    stream_failure: StreamFailure
    owned_by: str


class _Providers(Struct, frozen=True, tag="providers"):
    """Some of the providers, by name."""

    providers: dict[str, Provider]


class _Callers(Struct, frozen=True, tag="callers"):
    """Some of the callers, by digest."""

    callers: list[tuple[bytes, Caller]]


class _Groups(Struct, frozen=True, tag="groups"):
    """Some of the groups; all providers come before the first."""

    groups: list[_Group]


class _Head(Struct, frozen=True, tag="head"):
    """What comes first: everything of which there is one."""

    generation: int
    created_at: float
    settings: Settings


_Part = _Head | _Providers | _Callers | _Groups


def encode_snapshot(snapshot: Snapshot) -> tuple[bytes, ...]:
    """Return a snapshot as parts, which are of use only together and in their order."""
    return tuple(map(_encoder.encode, _split(snapshot)))


def decode_snapshot(parts: Sequence[bytes]) -> Snapshot:
    """
    Return the snapshot that `encode_snapshot` made these parts of.

    Raises:
        msgspec.MsgspecError: they are something else.
    """
    steps = decode_steps(parts)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            snapshot: Snapshot = done.value
            return snapshot


def decode_steps(parts: Sequence[bytes]) -> Generator[None, None, Snapshot]:
    """
    Decode as `decode_snapshot` does, but yield between steps of less than a millisecond each.

    Raises:
        msgspec.MsgspecError: they are something else.
    """
    head: _Head | None = None
    providers: dict[str, Provider] = {}
    callers: dict[bytes, Caller] = {}
    groups: dict[str, Group] = {}
    in_order: list[Provider] = []
    names = _Names()
    for data in parts:
        part = _decoder.decode(data)
        if isinstance(part, _Head):
            head = part
        elif isinstance(part, _Providers):
            providers.update(part.providers)
            in_order.extend(part.providers.values())
            names.learn(part.providers.values())
        elif isinstance(part, _Callers):
            callers.update(part.callers)
        else:
            for group in part.groups:
                groups[names.of(group.alias)] = _read_group(group, in_order, names)
        yield
    if head is None:
        raise msgspec.ValidationError("these parts have no head")
    return Snapshot(head.generation, head.created_at, head.settings, providers, groups, callers)


class _Names:
    """Keeps one copy of each model's name; most are met three times."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def learn(self, providers: Iterable[Provider]) -> None:
        for provider in providers:
            for model in provider.models:
                self._known.setdefault(model, model)

    def of(self, name: str) -> str:
        return self._known.setdefault(name, name)


def _read_group(group: _Group, providers: Sequence[Provider], names: _Names) -> Group:
    try:
        deployments = tuple(
            Deployment(providers[t.provider], names.of(t.model), t.priority, t.weight)
            for t in group.targets
        )
    except IndexError:
        raise msgspec.ValidationError("a deployment's provider is not in these parts") from None
    return Group(
        names.of(group.name),
        deployments,
        group.strategy,
        group.fallbacks,
        group.stream_failure,
        group.owned_by,
    )


def _split(snapshot: Snapshot) -> Iterator[_Part]:
    yield _Head(snapshot.generation, snapshot.created_at, snapshot.settings)
    for providers in _slice(snapshot.providers.items(), _weigh_provider):
        yield _Providers(dict(providers))
    for callers in _slice(snapshot.callers.items(), lambda caller: 1 + len(caller.models or ())):
        yield _Callers(callers)
    numbers = {name: number for number, name in enumerate(snapshot.providers)}
    for groups in _slice(snapshot.groups.items(), lambda group: 1 + len(group.deployments)):
        yield _Groups([_write_group(alias, group, numbers) for alias, group in groups])


def _weigh_provider(provider: Provider) -> int:
    return 10 + len(provider.models) + len(provider.model_info)


def _slice(items: Iterable[tuple[K, T]], weigh: Callable[[T], int]) -> Iterator[list[tuple[K, T]]]:
    part: list[tuple[K, T]] = []
    weight = 0
    for key, item in items:
        part.append((key, item))
        weight += weigh(item)
        if weight >= PART_WEIGHT:
            yield part
            part, weight = [], 0
    if part:
        yield part


def _write_group(alias: str, group: Group, numbers: Mapping[str, int]) -> _Group:
    targets = tuple(
        _Target(numbers[d.provider.name], d.model, d.priority, d.weight) for d in group.deployments
    )
    return _Group(
        alias,
        group.name,
        targets,
        group.strategy,
        group.fallbacks,
        group.stream_failure,
        group.owned_by,
    )


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"a snapshot holds no {type(value).__name__}")


def _conceal(wanted: type, value: Any) -> Any:
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"a snapshot holds no {wanted.__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_reveal)
_decoder = msgspec.msgpack.Decoder(_Part, dec_hook=_conceal)
