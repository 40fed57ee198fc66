"""Which providers may be a label."""

from msgspec.structs import replace

from proxy.domain.catalog import Provider
from proxy.telemetry.known_providers import KnownProviders


def build(*names: str, found_by: str | None = None) -> dict[str, Provider]:
    """Return providers by name."""
    return {
        name: Provider(name=name, type="vllm", base_url="https://a.example", found_by=found_by)
        for name in names
    }


def test_found_ones_are_bounded_over_all_catalogs() -> None:
    """However many come and go, the first few and all that are configured have their labels."""
    known = KnownProviders(max_found=3)
    own = build("own")
    assert known.choose(own | build("a", "b", found_by="kubernetes")).keys() == {"own", "a", "b"}
    assert known.choose(own | build("c", "d", found_by="kubernetes")).keys() == {"own", "c"}
    assert known.choose(own | build("a", "e", found_by="kubernetes")).keys() == {"own", "a"}
    assert known.choose(build("e")).keys() == {"e"}


def test_a_catalog_without_discovery_is_taken_as_it_is() -> None:
    """Nothing is copied where nothing was found."""
    own = build("a", "b")
    assert KnownProviders().choose(own) is own
    found = {name: replace(provider, found_by="consul") for name, provider in own.items()}
    assert KnownProviders().choose(found) is found
