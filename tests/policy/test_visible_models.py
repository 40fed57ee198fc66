"""Which providers and models a key gets to see."""

from proxy.domain.identity import Caller
from proxy.policy.visible_models import VisibleModels, add_visible, sees_all
from tests.fakes.proxy_server import build_provider, build_snapshot

SNAPSHOT = build_snapshot(
    build_provider("http://a", name="a", models=("m", "n")),
    build_provider("http://b", name="b", models=("m",)),
)


def test_a_restriction_is_none_for_administrators() -> None:
    """Whoever has no restriction, or administrates, has to do with every provider."""
    few = frozenset(("m",))
    assert sees_all(Caller("key_any"))
    assert sees_all(Caller("key_admin", role="admin", models=few))
    assert not sees_all(Caller("key_few", models=few))


def test_names_lead_to_providers_and_models() -> None:
    """Each once, bit by bit; a name that stands for nothing adds nothing."""
    found: VisibleModels = {}
    add_visible(found, SNAPSHOT, ["m", "nothing"])
    add_visible(found, SNAPSHOT, ["a/n", "m"])
    assert {name: list(models) for name, models in found.items()} == {"a": ["m", "n"], "b": ["m"]}
