"""Tests of `proxy/domain/catalog.py`."""

import pytest
from msgspec.structs import replace

from proxy.domain.catalog import Deployment, Group, ModelInfo, Provider, Snapshot
from proxy.domain.identity import Caller
from proxy.domain.settings import Settings


def provider(name: str, *models: str, enabled: bool = True, priority: int = 1) -> Provider:
    return Provider(
        name=name,
        type="openai",
        base_url="http://127.0.0.1/v1",
        models=models,
        enabled=enabled,
        priority=priority,
    )


def snapshot(*providers: Provider, groups: dict[str, Group] | None = None) -> Snapshot:
    return Snapshot(
        generation=1,
        created_at=0.0,
        settings=Settings(),
        providers={p.name: p for p in providers},
        groups=groups or {},
        callers={},
    )


def found(catalog: Snapshot, name: str) -> list[str] | None:
    group = catalog.find_group(name)
    return None if group is None else [deployment.id for deployment in group.deployments]


def test_organizations_are_those_of_users_keys() -> None:
    """A key that may do everything is of none."""
    users = {name.encode(): Caller(name, organization_id=name) for name in ("a", "b")}
    admin = Caller("admin", organization_id="default", role="admin")
    catalog = replace(snapshot(), callers={**users, b"admin": admin})
    assert catalog.organizations == {"a", "b"}


def test_a_group_of_that_name_goes_first() -> None:
    """An alias or bare name wins over `provider/model`, also if it has a slash in it."""
    router, direct = provider("router", "openai/gpt-4o"), provider("openai", "gpt-4o")
    group = Group("openai/gpt-4o", (Deployment(router, "openai/gpt-4o"),))
    catalog = snapshot(router, direct, groups={"openai/gpt-4o": group})
    assert found(catalog, "openai/gpt-4o") == ["router/openai/gpt-4o"]


def test_provider_and_model_are_split_at_the_first_slash() -> None:
    """`provider/model` finds the provider by what stands before the first slash."""
    catalog = snapshot(provider("router", "meta/llama"))
    assert found(catalog, "router/meta/llama") == ["router/meta/llama"]


@pytest.mark.parametrize("name", ["router/other", "router/", "/llama", "nobody/llama", "", "*"])
def test_names_that_stand_for_nothing_are_not_found(name: str) -> None:
    """A model that a provider does not list, half a name and no name are None."""
    assert found(snapshot(provider("router", "llama")), name) is None


def test_a_provider_that_is_off_is_known_but_serves_nothing() -> None:
    """`provider/model` of a disabled provider is a group without deployments."""
    assert found(snapshot(provider("router", "llama", enabled=False)), "router/llama") == []


def test_a_provider_of_any_model_takes_any_name() -> None:
    """With `*` in its models a provider takes a bare name and `provider/model`."""
    catalog = snapshot(provider("any", "*"))
    assert found(catalog, "new-model") == ["any/new-model"]
    assert found(catalog, "any/new-model") == ["any/new-model"]
    assert found(catalog, "org/new-model") == ["any/org/new-model"]


def test_takers_of_any_name_stand_in_the_order_of_their_priority() -> None:
    """Of several providers with `*` the lower priority number is tried first."""
    catalog = snapshot(
        provider("second", "*", priority=2),
        provider("off", "*", enabled=False),
        provider("first", "*", priority=1),
    )
    assert found(catalog, "m") == ["first/m", "second/m"]


@pytest.mark.parametrize(
    "name",
    [
        *("*", "any/*", "m\r\nx-evil: 1", "m\x00", "m ", " ", "m\x7f", "\x1b[31m"),
        *("\uff47pt-4", "m\u202e", "m\u00a0", "caf\u00e9", "x" * 129, "any/" + "x" * 129),
    ],
)
def test_a_client_cannot_choose_what_ends_up_in_headers(name: str) -> None:
    """A provider of any model takes no control characters, look-alikes or endless names."""
    assert found(snapshot(provider("any", "*")), name) is None


def test_every_printable_character_may_stand_in_a_name() -> None:
    """A provider of any model takes names of 1 to 128 characters from `!` to `~`."""
    catalog = snapshot(provider("any", "*"))
    printable = "".join(map(chr, range(0x21, 0x7F)))
    for name in (printable, "x" * 128):
        assert found(catalog, "any/" + name) == ["any/" + name]


@pytest.mark.parametrize(
    "name",
    [
        *("../../etc/passwd", "/etc/passwd", "http://127.0.0.1/v1", "router/../llama", "CON"),
        *("llama\x00", "LLAMA", "llama ", "\u217cllama", "router//llama", "x" * 1_000_000),
    ],
    ids=lambda name: repr(name[:20]),
)
def test_a_name_is_data_and_compared_as_it_is(name: str) -> None:
    """Paths, addresses, look-alikes and a megabyte of text name nothing."""
    assert found(snapshot(provider("router", "llama")), name) is None
    assert found(snapshot(provider("router", "llama")), f"router/{name}") is None


def test_an_operators_own_names_may_be_of_any_script() -> None:
    """The limits on characters hold for unlisted names only."""
    group = Group("modelo-rápido", (Deployment(provider("p", "m"), "m"),))
    assert found(snapshot(groups={"modelo-rápido": group}), "modelo-rápido") == ["p/m"]


def test_whether_there_are_admin_keys_is_known_of_every_snapshot() -> None:
    """One caller who may administrate is enough, also in a copy with other callers."""
    users = {bytes([n]): Caller(f"key_{n}") for n in range(3)}
    plain = replace(snapshot(), callers=users)
    assert not plain.has_admin_keys
    assert replace(plain, callers={**users, b"a": Caller("key_a", role="admin")}).has_admin_keys
    assert not plain.has_admin_keys


def test_a_deployments_id_is_made_once() -> None:
    """`id` is provider and model, the same object each time, whatever was given for it."""
    deployment = Deployment(provider("a", "m"), "m", id="forged")
    assert deployment.id == "a/m"
    assert deployment.id is deployment.id
    assert deployment == Deployment(provider("a", "m"), "m")
    assert replace(deployment, model="n").id == "a/n"


def test_three_tokens_of_a_prompt_are_priced_for_one_of_an_answer() -> None:
    """A model's price weighs both prices, and is not known without either."""
    assert ModelInfo(None, 2, 10).price == 16
    assert ModelInfo(None, 0, 0).price == 0
    assert ModelInfo(5, 2, None).price is None
    assert ModelInfo(5, None, 2).price is None


def test_what_is_known_of_a_model_is_known_of_its_deployment() -> None:
    """A deployment finds what its provider says of its model, and nothing where it is silent."""
    known = replace(provider("a", "m", "n"), model_info={"m": ModelInfo(max_input_tokens=9)})
    assert Deployment(known, "m").info.max_input_tokens == 9
    assert Deployment(known, "n").info == ModelInfo()


def test_a_group_with_the_simulator_in_it_is_simulated() -> None:
    """One simulated deployment is enough."""
    real, simulator = provider("a", "m"), replace(provider("sim", "sim-echo"), type="simulator")
    assert not Group("m", (Deployment(real, "m"),)).is_simulated
    mixed = (Deployment(real, "m"), Deployment(simulator, "sim-echo"))
    assert Group("sim-m", mixed).is_simulated


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("m:latest", "m"),
        ("p/m:latest", "p/m"),
        ("q/tagged:latest", "q/tagged:latest"),
        ("tagged:latest", "tagged:latest"),
        ("m", "m"),
        ("m:8b", "m:8b"),
        ("never:latest", "never:latest"),
        (":latest", ":latest"),
        ("m:latest:x", "m:latest:x"),
    ],
)
def test_a_tag_is_taken_off_where_only_the_bare_name_is_known(name: str, meant: str) -> None:
    """Ollama's clients put `:latest` behind a name without a tag; one that is known stays."""
    first, second = provider("p", "m"), provider("q", "tagged:latest", "*")
    groups = {
        "m": Group("m", (Deployment(first, "m"),)),
        "tagged:latest": Group("tagged:latest", (Deployment(second, "tagged:latest"),)),
    }
    assert snapshot(first, second, groups=groups).find_untagged(name) == meant
