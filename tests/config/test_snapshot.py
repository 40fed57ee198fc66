"""Snapshots as bytes, and back."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from proxy.config.snapshot import decode_snapshot, decode_steps, encode_snapshot
from proxy.domain.catalog import Deployment, Group, ModelInfo, Provider, Snapshot
from proxy.domain.identity import Caller
from proxy.domain.secret import Secret
from proxy.domain.settings import Clocks, PoolLimits, RateLimit, Settings

_names = st.text(min_size=1, max_size=8)
_numbers = st.integers(0, 1000)
_seconds = st.floats(0, 1e5)


def _build(kind: Any, **fields: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.builds(kind, **fields)


_limits = _build(RateLimit, requests=_numbers, window_s=_seconds)
_callers = _build(
    Caller,
    key_id=_names,
    role=st.sampled_from(["user", "admin"]),
    models=st.none() | st.frozensets(_names, max_size=3),
    rate_limit=st.none() | _limits,
)


def _providers(name: str) -> SearchStrategy[Provider]:
    provider: SearchStrategy[Provider] = _build(
        Provider,
        name=st.just(name),
        type=_names,
        base_url=_names,
        api_key=st.none() | st.builds(Secret, st.text()),
        models=st.lists(_names, max_size=4).map(tuple),
        enabled=st.booleans(),
        disabled_reason=st.none() | _names,
        headers=st.dictionaries(_names, _names, max_size=2),
        clocks=_build(Clocks, idle_s=_seconds),
        pool=_build(PoolLimits, max_connections=st.none() | _numbers),
        private_networks=st.lists(_names, max_size=2).map(tuple),
        model_info=st.dictionaries(
            _names, _build(ModelInfo, max_input_tokens=_numbers | st.none())
        ),
    )
    return provider


@st.composite
def _snapshots(draw: DrawFn) -> Snapshot:
    names = draw(st.lists(_names, max_size=4, unique=True))
    providers = {name: draw(_providers(name)) for name in names}
    deployments = _build(
        Deployment,
        provider=st.sampled_from(list(providers.values())) if providers else st.nothing(),
        model=_names,
        priority=_numbers,
        weight=_numbers,
    )
    groups = _build(
        Group,
        name=_names,
        deployments=st.lists(deployments, max_size=4 if providers else 0).map(tuple),
        strategy=st.sampled_from(["priority", "weighted"]),
        fallbacks=st.lists(_names, max_size=2).map(tuple),
        owned_by=_names,
    )
    return Snapshot(
        generation=draw(_numbers),
        created_at=draw(_seconds),
        settings=draw(_build(Settings, rate_limit=st.none() | _limits, app_name=_names)),
        providers=providers,
        groups=draw(st.dictionaries(_names, groups, max_size=4)),
        callers=draw(st.dictionaries(st.binary(max_size=32), _callers, max_size=3)),
    )


def _large() -> Snapshot:
    """Return 500 providers with 20 models each."""
    providers = {
        f"provider-{p}": Provider(
            name=f"provider-{p}",
            type="openai",
            base_url=f"https://provider-{p}.example/v1",
            api_key=Secret(f"key of {p}"),
            models=tuple(f"model-{p}-{m}-instruct" for m in range(20)),
        )
        for p in range(500)
    }
    groups = {
        model: Group(model, (Deployment(provider, model),))
        for provider in providers.values()
        for model in provider.models
    }
    callers = {p.to_bytes(32, "big"): Caller(f"key_{p}") for p in range(500)}
    return Snapshot(3, 2.0, Settings(), providers, groups, callers)


@given(_snapshots())
def test_a_snapshot_comes_back_as_it_was(snapshot: Snapshot) -> None:
    """Every value of any snapshot is the same after the way through bytes."""
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


def test_a_large_snapshot_comes_in_small_parts() -> None:
    """Of 10,000 models no part holds more than 450, and there is a step for each part."""
    snapshot = _large()
    parts = encode_snapshot(snapshot)
    models = [len(msgspec.msgpack.decode(part).get("groups", ())) for part in parts]
    assert sum(models) == 10_000
    assert max(models) <= 450
    steps = decode_steps(parts)
    assert sum(1 for _ in steps) == len(parts)
    assert decode_snapshot(parts) == snapshot


def test_what_was_one_object_is_one_again() -> None:
    """Deployments share the provider of the snapshot, and all who name a model share its name."""
    snapshot = decode_snapshot(encode_snapshot(_large()))
    group = snapshot.groups["model-7-3-instruct"]
    (deployment,) = group.deployments
    provider = snapshot.providers["provider-7"]
    assert deployment.provider is provider
    assert deployment.model is provider.models[3] is group.name
    assert next(name for name in snapshot.groups if name == group.name) is group.name


def test_what_is_no_snapshot_is_refused() -> None:
    """Other bytes, parts without their head and parts without their providers are errors."""
    parts = encode_snapshot(_large())
    for wrong in ((b"\xc1",), (), parts[1:], (parts[0], parts[-1])):
        with pytest.raises(msgspec.MsgspecError):
            decode_snapshot(wrong)


def test_a_worker_loads_no_configuration_with_it() -> None:
    """The module brings neither pydantic nor yaml along, which workers do without."""
    code = "import sys, proxy.config.snapshot as s; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "yaml"} & set(run.stdout.split())
