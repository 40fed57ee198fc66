"""
One checked entry of `providers:` -> a `Provider` of the catalog, with its key and its defaults.

A provider without its key is disabled with a warning and the others serve; everything
else that is wrong is a problem.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from proxy.config.build_model_info import (
    build_model_info,
    find_unlisted_info,
    find_unpriced_probe,
)
from proxy.config.build_proxy import build_proxy
from proxy.config.environment import Variable, read_variable
from proxy.config.merge import PREFIX
from proxy.config.node import Node
from proxy.config.problem import Place, Problem
from proxy.config.provider_address import find_address_doubts, find_address_problems
from proxy.config.provider_schema import ProviderEntry
from proxy.config.reference import REFERENCE, build_node, may_hold_key
from proxy.config.schema import ConfigFile
from proxy.config.validate import CheckedProvider
from proxy.config.value_types import MICROS_DIGITS
from proxy.domain.catalog import SIMULATED, SIMULATOR_TYPE, Provider
from proxy.domain.health import ProbeSettings
from proxy.domain.secret import Secret
from proxy.domain.settings import Clocks, PoolLimits
from proxy.providers.kind import Kind
from proxy.providers.registry import find_kind

LOCAL_FIRST_TOKEN_S = 600.0
MAX_IDLE_S = 15.0


class BuiltProvider(Struct, frozen=True):
    """A provider of the catalog, what is wrong with it, and what is doubtful."""

    provider: Provider
    is_sound: bool
    """False if a value of the entry was wrong and has been left out."""
    is_on: bool
    """False if the operator took it out of service; a missing key leaves it on."""
    key_node: Node | None = None
    """The key with the variable it was found in; None if it stands in the entry, or nowhere."""
    proxy_node: Node | None = None
    """The same of its proxy's URL."""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class _Key(Struct, frozen=True):
    """The outcome of the search for a key."""

    key: Secret | None = None
    node: Node | None = None
    missing: str | None = None
    problem: Problem | None = None


def build_provider(
    checked: CheckedProvider, top: ConfigFile, tree: Node, environment: Mapping[str, Variable]
) -> BuiltProvider:
    """Return the provider that one entry describes."""
    entry, steps = checked.entry, checked.steps
    kind = find_kind(entry.type)
    if kind is None:
        raise ValueError("the schema lets no unknown type pass")
    problems = list(_find_problems(entry, kind, tree, steps))
    warnings: list[Problem] = []
    place = tree.place_of(*steps, "name")
    found = _find_key(entry, kind, environment, tree, steps)
    proxy = build_proxy(entry, kind, environment, tree, steps)
    if proxy.problem is not None:
        problems.append(proxy.problem)
    disabled_reason: str | None = None
    if not entry.enabled:
        disabled_reason = "switched off"
    elif found.problem is not None:
        problems.append(found.problem)
    elif found.key is None and (kind.needs_key or found.missing is not None):
        disabled_reason = f"no API key: {found.missing}"
        mend = f"{found.missing}, or set 'enabled: false'"
        what = f"the provider '{entry.name}' is disabled because its API key is not set"
        warnings.append(Problem(place, what, mend))
    if entry.enabled and not entry.models and checked.is_sound:
        what = f"the provider '{entry.name}' lists no models, so nothing is sent to it"
        warnings.append(Problem(place, what, "list its models, or '\"*\"' for any"))
    if entry.enabled:
        warnings.extend(_find_long_idle_times(entry, tree, steps))
        warnings.extend(find_address_doubts(entry, tree, steps))
        warnings.extend(proxy.warnings)
        if checked.is_sound:
            warnings.extend(find_unlisted_info(entry, tree, steps))
            warnings.extend(find_unpriced_probe(entry, tree, steps))
    provider = Provider(
        name=entry.name,
        type=kind.type,
        base_url=_complete_url(entry, kind),
        api_key=found.key,
        models=tuple(entry.models),
        enabled=disabled_reason is None,
        disabled_reason=disabled_reason,
        priority=entry.priority,
        weight=entry.weight,
        max_retries=entry.max_retries,
        retry_delay_s=entry.retry_delay,
        headers=dict(entry.headers),
        clocks=_build_clocks(entry, kind, top),
        pool=_build_pool(entry, top),
        private_networks=tuple(entry.private_networks),
        model_info=build_model_info(entry.model_info),
        transport=SIMULATOR_TYPE if kind.type == SIMULATOR_TYPE else entry.transport,
        ca_file=entry.ca_file,
        files_organization=entry.files_organization,
        api_version=entry.api_version,
        auth=entry.auth,
        min_context_tokens=entry.min_context_tokens,
        max_context_tokens=entry.max_context_tokens,
        proxy=proxy.url,
        probe=_build_probe(entry),
    )
    return BuiltProvider(
        provider=provider,
        is_sound=checked.is_sound,
        is_on=entry.enabled,
        key_node=found.node,
        proxy_node=proxy.node,
        problems=tuple(problems),
        warnings=tuple(warnings),
    )


def _find_problems(
    entry: ProviderEntry, kind: Kind, tree: Node, steps: tuple[str | int, ...]
) -> list[Problem]:
    problems = list(find_address_problems(entry, kind, tree, steps))
    spans = {entry.keepalive_timeout, entry.keepalive_expiry} - {None}
    if len(spans) > 1:
        what = "keepalive_timeout and keepalive_expiry are two names of one setting, and differ"
        place = tree.place_of(*steps, "keepalive_expiry")
        problems.append(Problem(place, what, "keep one of the two"))
    names = [name.lower() for name in entry.headers]
    if len(set(names)) < len(names):
        place = tree.place_of(*steps, "headers")
        what = "headers: a header is given twice, in different spellings"
        problems.append(Problem(place, what, "keep one of the two"))
    for key in ("api_version", "auth"):
        if getattr(entry, key) is not None and not kind.has_versions:
            what = f"{key}: the type '{kind.type}' has no such setting"
            mend = f"remove the line; {key} is for anthropic, azure and gemini"
            problems.append(Problem(tree.place_of(*steps, key), what, mend))
    for key in ("min_context_tokens", "max_context_tokens"):
        if key in entry.model_fields_set and not kind.has_context_window:
            what = f"{key}: the type '{kind.type}' cannot be told how large its window is to be"
            mend = "remove the line; it is for ollama"
            problems.append(Problem(tree.place_of(*steps, key), what, mend))
    if entry.min_context_tokens > entry.max_context_tokens:
        what = "max_context_tokens: it is below min_context_tokens"
        place = tree.place_of(*steps, "max_context_tokens")
        problems.append(Problem(place, what, "set both, the lower one as min_context_tokens"))
    if kind.type == SIMULATOR_TYPE:
        if entry.base_url is not None:
            place = tree.place_of(*steps, "base_url")
            problems.append(Problem(place, "the simulator has no address", "remove base_url"))
        for index, model in enumerate(entry.models):
            if not model.startswith(SIMULATED):
                what = "models: the simulator serves only models whose names begin with 'sim-'"
                mend = "list names such as sim-echo, so that nobody takes its answers for real"
                place = tree.place_of(*steps, "models", index)
                problems.append(Problem(place, what, mend))
    if entry.probe == "completion" and not entry.probe_max_usd_per_day:
        what = "probe: completions cost money, and probe_max_usd_per_day does not say how much may"
        place = tree.place_of(*steps, "probe")
        problems.append(Problem(place, what, "set probe_max_usd_per_day, such as 0.10"))
    return problems


def _find_long_idle_times(
    entry: ProviderEntry, tree: Node, steps: tuple[str | int, ...]
) -> Iterator[Problem]:
    for key in ("keepalive_timeout", "keepalive_expiry"):
        if (getattr(entry, key) or 0) > MAX_IDLE_S:
            what = f"{key}: more than {MAX_IDLE_S:g} seconds have no effect"
            mend = f"write {MAX_IDLE_S:g} or less, or remove the key"
            yield Problem(tree.place_of(*steps, key), what, mend)


def _find_key(
    entry: ProviderEntry,
    kind: Kind,
    environment: Mapping[str, Variable],
    tree: Node,
    steps: tuple[str | int, ...],
) -> _Key:
    place = tree.place_of(*steps, "api_key")
    if entry.api_key is not None and entry.api_key.strip():
        reference = REFERENCE.match(entry.api_key.strip())
        if reference is None:
            return _check_key(entry.api_key, place)
        if not may_hold_key(reference[1]):
            return _Key(problem=_withheld(place, "api_key"))
        found = _read_key(environment, reference[1])
        if found is not None:
            return found
        if entry.api_key_env is None:
            return _Key(missing=f"set {reference[1]}")
    names = _list_variables(entry, kind)
    for name in names:
        if not may_hold_key(name):
            return _Key(problem=_withheld(tree.place_of(*steps, "api_key_env"), "api_key_env"))
        found = _read_key(environment, name)
        if found is not None:
            return found
    if entry.api_key_env is None and not kind.needs_key:
        return _Key()
    return _Key(missing=f"set {' or '.join(names)}" if names else "set api_key_env")


def _list_variables(entry: ProviderEntry, kind: Kind) -> tuple[str, ...]:
    """Return the variables that may hold the key, first choice first."""
    usual = tuple(v for name in kind.key_variables for v in (PREFIX + name, name))
    if entry.api_key_env is None:
        return usual
    if entry.api_key_env in usual:
        return (entry.api_key_env, *(name for name in usual if name != entry.api_key_env))
    # A variable of the operator's own choice stands for another account: falling back to
    # the usual one would send the wrong account's key.
    return (entry.api_key_env,)


def _read_key(environment: Mapping[str, Variable], name: str) -> _Key | None:
    variable = read_variable(environment, name)
    if variable is None or REFERENCE.match(variable.text.reveal().strip()):
        return None
    found = _check_key(variable.text.reveal(), variable.place)
    return found if found.key is None else replace(found, node=build_node(variable))


def _check_key(text: str, place: Place) -> _Key:
    key = text.strip()
    if key.startswith(("os.environ/", "$")):
        what = "this is the name of a variable, not an API key"
        return _Key(problem=Problem(place, what, "write '${NAME}', or use api_key_env"))
    if not key.isascii() or not key.isprintable() or " " in key or "${" in key:
        what = "this API key cannot be sent in a header"
        mend = "copy the key again, without blanks, line breaks and '${...}' inside"
        return _Key(problem=Problem(place, what, mend))
    return _Key(key=Secret(key))


def _withheld(place: Place, setting: str) -> Problem:
    return Problem(
        place,
        f"{setting}: this variable is not one that may hold a provider's key",
        "use a name that begins with PROXY_API_ or ends in _KEY or _TOKEN",
    )


def _complete_url(entry: ProviderEntry, kind: Kind) -> str:
    if entry.base_url is None:
        return kind.base_url or ""
    url = entry.base_url.rstrip("/")
    return f"{url}/v1" if kind.appends_v1 and not urlsplit(url).path else url


def _build_clocks(entry: ProviderEntry, kind: Kind, top: ConfigFile) -> Clocks:
    given = top.clocks
    clocks = Clocks(
        connect_s=given.connect_s,
        tls_s=given.tls_s,
        headers_s=given.headers_s,
        first_token_s=given.first_token_s,
        idle_s=given.idle_s,
        total_s=given.total_s,
        answer_s=given.answer_s if given.answer_s is not None else top.request_timeout,
    )
    if kind.is_local:
        # A local server loads its model and reads the whole prompt before it answers, and
        # many send no head before their first token.
        local = {"headers_s": LOCAL_FIRST_TOKEN_S, "first_token_s": LOCAL_FIRST_TOKEN_S}
        unset = {k: v for k, v in local.items() if k not in given.model_fields_set}
        clocks = replace(clocks, **unset)
    if entry.timeout is not None:
        clocks = replace(
            clocks, headers_s=entry.timeout, first_token_s=entry.timeout, idle_s=entry.timeout
        )
    own = {k: v for k, v in entry.clocks.model_dump().items() if v is not None}
    return replace(clocks, **own)


def _build_probe(entry: ProviderEntry) -> ProbeSettings:
    usd = Decimal(str(entry.probe_max_usd_per_day or 0))
    return ProbeSettings(entry.probe, entry.probe_path, int(usd.scaleb(MICROS_DIGITS)))


def _build_pool(entry: ProviderEntry, top: ConfigFile) -> PoolLimits:
    keepalive = entry.keepalive_timeout or entry.keepalive_expiry or MAX_IDLE_S
    idle = entry.max_keepalive_connections
    return PoolLimits(
        max_connections=entry.max_connections,
        max_keepalive_connections=idle if idle is not None else top.max_keepalive_connections,
        keepalive_s=min(keepalive, MAX_IDLE_S),
    )
