"""Types that other packages bring: what is taken, and what is said of one that is no good."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.errors import NotOffered
from proxy.domain.settings import Clocks
from proxy.providers import registry
from proxy.providers.openai_format import OpenAIFormat
from proxy.providers.third_party import MissingType, PackageFault, read_third_party
from tests.fakes.third_party import KIND, OWN_TYPE, install_package
from tests.providers.asking import ask_for


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that packages can be laid out in, and nothing of them is kept."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_loaded_kinds", {})
    monkeypatch.setattr(registry, "_loaded_types", {})
    yield tmp_path
    for name in [name for name in sys.modules if name.endswith("_ai_module")]:
        del sys.modules[name]


def test_a_kind_is_a_type_of_openais_format(site: Path) -> None:
    """A row is all that a package needs, and is asked as the built-in ones are."""
    install_package(site, KIND)
    kind = registry.load_type("acme")
    assert kind is not None
    assert registry.find_kind("acme") is kind
    provider_type = registry.find_type("acme")
    assert isinstance(provider_type, OpenAIFormat)
    provider = Provider("a", "acme", "https://api.acme.example/v1")
    ask = ask_for(max_completion_tokens=9)
    request = provider_type.build_request(ask, Deployment(provider, "acme-1"), {})
    assert request.url == "https://api.acme.example/v1/chat/completions"
    assert b'"max_tokens":9' in request.body


def test_an_object_of_its_own_is_taken_as_it_is(site: Path) -> None:
    """What implements ProviderType and has a kind is asked itself."""
    install_package(site, OWN_TYPE, "acme")
    assert registry.load_type("acme") is registry.find_kind("acme")
    provider = Provider("a", "acme", "https://api.acme.example/v1")
    deployment = Deployment(provider, "acme-1")
    request = registry.find_type("acme").build_request(ask_for(), deployment, {})
    assert request.headers["X-Acme"] == "1"


def test_it_is_loaded_once(site: Path) -> None:
    """A type stays the object that it was when it was first wanted."""
    install_package(site, KIND)
    assert registry.load_type("acme") is registry.load_type("acme")


def test_what_nobody_brings_is_none(site: Path) -> None:
    """Without a package of that name there is no such type, and nothing is wrong."""
    assert read_third_party("acme") is None
    assert registry.load_type("acme") is None


def test_a_package_replaces_nothing_that_is_built_in(site: Path) -> None:
    """For a type of ours, by its name or another spelling, no package is looked into."""
    for name in ("openai", "xai"):
        install_package(site, "raise SystemExit", type_name=name, name=f"{name}-ai")
        assert registry.load_type(name) is registry.find_kind(name)
        assert isinstance(registry.find_type(name), OpenAIFormat)


FAULTS = {
    "import": ("import nowhere_to_be_found", "ACME", "cannot be imported: ModuleNotFoundError"),
    "exit": ("raise SystemExit(3)", "ACME", "cannot be imported: SystemExit"),
    "syntax": ("1 +", "ACME", "cannot be imported: SyntaxError"),
    "name": (KIND, "Acme", "cannot be imported: AttributeError"),
    "class": (KIND, "Kind", "names a class"),
    "value": ("ACME = 1", "ACME", "lacks kind, "),
    "type": (KIND.replace('"acme"', '"other"'), "ACME", "whose type is not 'acme'"),
    "quirk": (KIND.replace('"regular"', '"regluar"'), "ACME", "whose quirk is none of"),
    "title": (KIND.replace('"Acme AI"', "7"), "ACME", "a Kind that is not valid"),
    "signs": ("raise ValueError('a\\n\\x1b[2Jb')", "ACME", "ValueError: a [2Jb"),
    "no-words": (
        "class E(Exception):\n    def __str__(self): raise E\nraise E",
        "ACME",
        "cannot be imported: E",
    ),
    "property": (
        "class A:\n    def __getattr__(self, name): raise ValueError\nacme = A()",
        "acme",
        "cannot be looked at: ValueError",
    ),
    "exit-of-probe": (
        f"{OWN_TYPE}\nacme.build_probe = lambda *_: exit(3)",
        "acme",
        "cannot build a probe: SystemExit",
    ),
    "own-name": (f"{OWN_TYPE}\nacme.name = 'x'", "acme", "must have the name 'acme'"),
    "own-kind": (f"{OWN_TYPE}\nacme.kind = 'x'", "acme", "and a Kind as its kind"),
    "probe": (f"{OWN_TYPE}\nacme.build_probe = 1", "acme", "cannot build a probe: TypeError"),
}


@pytest.mark.parametrize(("source", "target", "words"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_good_names_its_package(
    site: Path, source: str, target: str, words: str
) -> None:
    """Whatever a package does, the fault says which package it is and what is wrong with it."""
    install_package(site, source, target)
    with pytest.raises(PackageFault) as caught:
        registry.load_type("acme")
    assert "'acme-ai'" in caught.value.what
    assert words in caught.value.what
    assert registry.find_kind("acme") is None


def test_two_packages_for_one_type_are_a_fault(site: Path) -> None:
    """Which of them is meant cannot be told, and both are named."""
    install_package(site, KIND)
    install_package(site, KIND, name="zeta-ai")
    with pytest.raises(PackageFault, match="'acme-ai' and 'zeta-ai'"):
        registry.load_type("acme")


def test_a_broken_package_of_another_kind_is_a_fault(site: Path) -> None:
    """Where the files of installed packages cannot be read that is said, and nothing is raised."""
    install_package(site, KIND)
    other = site / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[console_scripts]\nbroken\n")
    with pytest.raises(PackageFault, match="installed packages bring cannot be read"):
        registry.load_type("acme")


def test_a_type_that_is_gone_is_asked_for_nothing(site: Path) -> None:
    """A process that lacks a package refuses its models, probes nobody, and says what it lacks."""
    (fault,) = registry.load_types(["openai", "acme", "acme"])
    assert "'acme'" in fault.what
    missing = registry.find_type("acme")
    assert isinstance(missing, MissingType)
    provider = Provider("a", "acme", "https://api.acme.example/v1")
    with pytest.raises(NotOffered) as caught:
        missing.build_request(ask_for(), Deployment(provider, "acme-1"), {})
    assert (caught.value.param, caught.value.code) == ("model", "unsupported_operation")
    assert missing.build_probe(provider, Clocks()) is None


def test_a_type_that_has_come_back_is_asked_again(site: Path) -> None:
    """The next snapshot after a package was installed has its type."""
    assert len(registry.load_types(["acme"])) == 1
    install_package(site, KIND)
    assert registry.load_types(["acme"]) == []
    assert not isinstance(registry.find_type("acme"), MissingType)
