"""
Speed, length and fault of an answer, and the model names that say them.

Three places may turn the knobs; the later wins: the server's options, the model's name,
the request's `metadata.sim`. The grammar of names is in docs/simulator.md.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from proxy.domain.errors import InvalidRequest

FAULT_PREFIX = "sim-fault-"
_Wait = Annotated[float, Meta(ge=0, le=3_600_000)]


class Knobs(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be turned; None leaves a knob as the place below it has set it."""

    tokens_per_s: Annotated[float, Meta(ge=0, le=1_000_000)] | None = None
    """0 is as fast as possible."""
    first_token_ms: _Wait | None = None
    tokens: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """How long `sim-story` talks."""
    thoughts: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    """How many tokens are thought before anything is said."""
    calls: Annotated[int, Meta(ge=1, le=16)] | None = None
    """How many functions `sim-tools` calls at once."""
    cached: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """How many tokens of the prompt are said to come from a cache; never more than it has."""
    fault: str | None = None
    after_events: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """How many events go out whole before a fault strikes; the role counts as one."""
    gap_ms: _Wait | None = None
    """The pause of faults that drip."""
    size_mb: Annotated[int, Meta(ge=1, le=256)] | None = None
    """The size of faults that are large."""
    location: Annotated[str, Meta(max_length=2000, pattern=r"^[!-~]+$")] | None = None
    """Where redirects point."""


NO_KNOBS = Knobs()
DEFAULTS = Knobs(
    tokens_per_s=0,
    first_token_ms=0,
    after_events=3,
    gap_ms=5000,
    size_mb=10,
    location="http://169.254.169.254/latest/meta-data/",
)

MODELS: Mapping[str, Knobs] = MappingProxyType(
    {
        "sim-echo": Knobs(),
        "sim-story": Knobs(tokens_per_s=60, first_token_ms=250),
        "sim-tools": Knobs(),
        "sim-look": Knobs(),
        "sim-refuse": Knobs(),
        "sim-embed": Knobs(),
    }
)
"""The models without a fault, each with the speed that is its own."""

_PART = re.compile(
    r"(?P<tps>\d{1,7}(?:\.\d{1,3})?)tps"
    r"|(?P<ms>\d{1,7}(?:\.\d{1,3})?)ms"
    r"|(?P<s>\d{1,4}(?:\.\d{1,3})?)s"
    r"|(?P<tokens>\d{1,7})tokens"
    r"|(?P<thoughts>\d{1,6})thoughts"
    r"|(?P<calls>\d{1,2})calls"
    r"|(?P<cached>\d{1,7})cached"
    r"|after(?P<after>\d{1,7})"
    r"|gap(?P<gap>\d{1,7}(?:\.\d{1,3})?)ms"
    r"|(?P<mb>\d{1,3})mb",
    re.ASCII,
)
_FIELDS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {
        "tps": ("tokens_per_s", 1),
        "ms": ("first_token_ms", 1),
        "s": ("first_token_ms", 1000),
        "tokens": ("tokens", 1),
        "thoughts": ("thoughts", 1),
        "calls": ("calls", 1),
        "cached": ("cached", 1),
        "after": ("after_events", 1),
        "gap": ("gap_ms", 1),
        "mb": ("size_mb", 1),
    }
)
_WHOLE = frozenset(("tokens", "thoughts", "calls", "cached", "after", "mb"))


def parse_model_name(name: str) -> tuple[str, Knobs]:
    """Split `sim-story@50tps,200ms` into `sim-story` and its knobs; InvalidRequest if it cannot."""
    base, at, tail = name.partition("@")
    values: dict[str, float] = {}
    for part in tail.split(",") if at else ():
        match = _PART.fullmatch(part)
        if match is None or match.lastgroup is None:
            raise InvalidRequest(
                f"'{part[:40]}' in the model name is not a speed. Write it like "
                "'sim-story@50tps,200ms'; the parts are <n>tps, <n>ms, <n>s, <n>tokens, "
                "<n>thoughts, <n>calls, <n>cached, after<n>, gap<n>ms and <n>mb.",
                param="model",
            )
        kind = match.lastgroup
        field, factor = _FIELDS[kind]
        text = match[kind]
        values[field] = int(text) if kind in _WHOLE else float(text) * factor
    return base, _checked(values)


def merge_knobs(*layers: Knobs) -> Knobs:
    """Lay knobs over each other; of each the last one that is set counts."""
    values: dict[str, Any] = {}
    for layer in layers:
        for field in Knobs.__struct_fields__:
            value = getattr(layer, field)
            if value is not None:
                values[field] = value
    return Knobs(**values)


def _checked(values: dict[str, float]) -> Knobs:
    try:
        return msgspec.convert(values, Knobs)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The model name sets a bad value: {error}.", param="model") from None
