"""What is told becomes what is used: the first name counts, and everybody stays who may."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from health_worker.discovery.candidate import Candidate
from health_worker.discovery.collect import collect, is_shrunk
from health_worker.discovery.file import FoundFile
from proxy.config.sources import read_discovered_file
from proxy.domain.discovery import DiscoverySettings, FoundProvider, RegistrySettings

SETTINGS = DiscoverySettings(
    registry=RegistrySettings("https://r.example"),
    local_servers=True,
    private_networks=("10.0.0.0/8",),
    max_providers=3,
)


def candidate(name: str = "a", **other: Any) -> Candidate:
    """Return a candidate that is good."""
    values: dict[str, Any] = {"base_url": f"https://{name}.example/v1", "models": ("m",), **other}
    return Candidate(name, **values)


def test_who_stays_keeps_the_time_of_its_first_sight() -> None:
    """A second round with the same answer comes to the same entries."""
    first = collect({"registry": [candidate()]}, {}, SETTINGS, 5.0).providers
    known = {entry.name: entry for entry in first}
    second = collect({"registry": [candidate()]}, known, SETTINGS, 9.0).providers
    assert first == second
    assert first[0].found_at == 5.0


def test_what_a_silent_source_found_before_goes_on() -> None:
    """A source that has not answered since the start keeps what the file says."""
    before = FoundProvider("old", "vllm", "https://old.example/v1", ("m",), "registry", 1.0)
    kept = collect({"local": []}, {"old": before}, SETTINGS, 9.0)
    assert kept.providers == (before,)
    assert collect({"registry": []}, {"old": before}, SETTINGS, 9.0).providers == ()
    off = DiscoverySettings(local_servers=True)
    assert collect({}, {"old": before}, off, 9.0).providers == ()


def test_of_two_with_the_same_name_the_first_source_counts() -> None:
    """A local server cannot take the name of one that the registry names."""
    local = candidate(base_url="http://127.0.0.1:1234/v1")
    told = collect({"local": [local], "registry": [candidate()]}, {}, SETTINGS, 1.0)
    [entry] = told.providers
    assert entry.found_by == "registry"
    assert told.problems == {"a": "its name is taken by one that was found by registry"}


def test_no_more_than_allowed() -> None:
    """Whoever comes behind `max_providers` is named, and left out."""
    told = collect({"registry": [candidate(f"p{n}") for n in range(5)]}, {}, SETTINGS, 1.0)
    assert [entry.name for entry in told.providers] == ["p0", "p1", "p2"]
    assert told.problems["p3"] == "more than 3 were found (discovery.max_providers)"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"base_url": "http://127.0.0.1:1/v1"}, "its address is not public"),
        ({"base_url": "http://[::1"}, "no plain http or https URL"),
        ({"base_url": "https://a:b@c.example"}, "no plain http or https URL"),
        ({"base_url": "gopher://c.example"}, "no plain http or https URL"),
        ({"type": "simulator"}, "the simulator is never found"),
        ({"type": "no-such"}, "its type is not known"),
        ({"models": ()}, "it names no models"),
        ({"models": ("*",)}, "it names no models"),
        ({"models": tuple(map(str, range(1001)))}, "more than 1000 models"),
        ({"weight": 0}, "out of range"),
        ({"priority": 5000}, "out of range"),
    ],
)
def test_who_may_not_be_used_is_named_with_the_reason(bad: dict[str, Any], reason: str) -> None:
    """One that breaks a rule costs only itself."""
    told = collect({"registry": [candidate(**bad), candidate("b")]}, {}, SETTINGS, 1.0)
    assert [entry.name for entry in told.providers] == ["b"]
    assert reason in told.problems["a"]


def test_all_models_together_are_bounded() -> None:
    """Providers whose models would make the file too large to be read are left out."""
    settings = replace(SETTINGS, max_providers=100)
    many = [candidate(f"p{n}", models=tuple(map(str, range(1000)))) for n in range(21)]
    told = collect({"registry": many}, {}, settings, 1.0)
    assert len(told.providers) == 20
    assert told.problems == {"p20": "all together name more than 20000 models"}


def test_what_all_say_together_fits_into_the_file(tmp_path: Path) -> None:
    """However long the names of models are, the file is one that the configuration reads."""
    settings = replace(SETTINGS, max_providers=100)
    many = [
        candidate(f"p{n}", models=tuple(chr(0x1F600 + i % 64) * 190 + str(i) for i in range(200)))
        for n in range(100)
    ]
    told = collect({"registry": many}, {}, settings, 1.0)
    assert 15 < len(told.providers) < 25
    assert told.problems["p99"] == "the names of all models together are too long"
    FoundFile(tmp_path).write(told.providers)
    assert FoundFile(tmp_path).read() == told.providers
    assert read_discovered_file(tmp_path) is not None


def test_one_address_is_one_provider() -> None:
    """Of several names of one server the first counts, and the others take nobody's place."""
    url = "https://pod.example/v1"
    same = [candidate(name, base_url=url) for name in "abcd"]
    told = collect({"registry": [*same, candidate("z")]}, {}, SETTINGS, 1.0)
    assert [entry.name for entry in told.providers] == ["a", "z"]
    assert told.problems["d"] == "it is at the address of 'a'"


def test_a_name_that_cannot_be_used_is_not_repeated() -> None:
    """What stands where a name belongs is told under the name of the source."""
    told = collect({"registry": [candidate("a\nb")]}, {}, SETTINGS, 1.0)
    assert told.problems == {"registry": "its name cannot be used"}


def test_models_are_names() -> None:
    """Names of models that could not be written into a configuration are dropped."""
    names = ("m", "*", " x", "", "y" * 201, "m", "z")
    [entry] = collect({"registry": [candidate(models=names)]}, {}, SETTINGS, 1.0).providers
    assert entry.models == ("m", "z")


@pytest.mark.parametrize(
    ("before", "after", "is_held"),
    [("", "", False), ("a", "", True), ("ab", "a", False), ("abc", "a", True), ("a", "b", True)],
)
def test_more_than_half_at_once_is_a_second_look(before: str, after: str, is_held: bool) -> None:
    """Half of the names may leave without a question."""
    assert is_shrunk(list(before), list(after)) is is_held
