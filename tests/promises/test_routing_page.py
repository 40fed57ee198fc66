"""docs/routing.md promises: its examples are valid, and come to the orders that it tells."""

import json
import re
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from multidict import CIMultiDict

from proxy.config.load import LoadedConfig
from proxy.domain.catalog import Deployment, Snapshot
from proxy.domain.identity import Caller
from proxy.pipeline.route import route
from proxy.policy.admission import Reason
from proxy.policy.routing import OrderReason, order
from proxy.wire.openai_request import parse_ask
from tests.config.loading import GOOD_KEY, load_text, warnings_of
from tests.promises.tree import ROOT

ENVIRONMENT = {"OPENAI_API_KEY": "k", "OPENROUTER_API_KEY": "k"}
LATENCIES_S = {"openai/gpt-4o-mini": 0.4 * 3, "openrouter/openai/gpt-4o-mini": 0.9}


class Told:
    """Facts as the page tells them."""

    is_health_even = True

    def failures(self, deployment_id: str) -> int:
        """Return 0."""
        return 0

    def latency_s(self, deployment: Deployment) -> float:
        """Return what the example of `least_latency` says."""
        return LATENCIES_S.get(deployment.id, 0.001)

    def health_rank(self, deployment: Deployment) -> int:
        """Return 0."""
        return 0


@pytest.fixture(scope="module")
def page() -> str:
    """The text of the page."""
    return (ROOT / "docs" / "routing.md").read_text("utf-8")


@pytest.fixture
def loaded(page: str, tmp_path: Path) -> LoadedConfig:
    """The page's configuration, with a key."""
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    return load_text(tmp_path, f"api_keys: [{GOOD_KEY}]\n{text}", ENVIRONMENT)


def find(snapshot: Snapshot, body: str) -> list[list[str]]:
    """Return the providers of a request's candidates, leg by leg."""
    caller = Caller("key_anyone")
    headers = CIMultiDict[str]()
    found = route(parse_ask("chat", body.encode()), headers, snapshot, caller, Told())
    return [[each.provider.name for each in leg.candidates] for leg in found.legs]


def test_the_example_has_nothing_doubtful(loaded: LoadedConfig) -> None:
    """Whoever copies it gets no warning, and everything in it is in force."""
    assert (warnings_of(loaded), loaded.not_in_force) == ([], ())


@pytest.mark.parametrize(
    ("alias", "providers"),
    [
        ("steady", ["local", "openai", "openrouter"]),
        ("quick", ["openrouter", "openai", "local"]),
        ("cheap", ["openrouter", "openai"]),
    ],
)
def test_each_strategy_comes_to_the_order_that_is_told(
    loaded: LoadedConfig, alias: str, providers: list[str]
) -> None:
    """The worked examples are what happens."""
    body = json.dumps({"model": alias, "messages": [{"role": "user", "content": "Hi"}]})
    assert find(loaded.snapshot, body)[0] == providers


def test_the_weighted_example_begins_where_it_says(loaded: LoadedConfig) -> None:
    """Three of four requests begin at `openai`."""
    group = loaded.snapshot.groups["spread"]
    draw = Random(3).random
    orders = (order(group.deployments, group.strategy, Told(), draw) for _ in range(10_000))
    first = [found.deployments[0].provider.name for found in orders]
    assert first.count("openai") / 10_000 == pytest.approx(0.75, abs=0.02)


def test_the_example_of_a_request_goes_where_it_says(page: str, loaded: LoadedConfig) -> None:
    """Its legs are those of the text below it."""
    (body,) = re.findall(r"```json\n(.*?)```", page, re.S)
    assert find(loaded.snapshot, body) == [["openrouter", "openai"], ["openai"]]


def test_the_reasons_are_those_of_admission(page: str) -> None:
    """Every reason why an attempt is not made, or is made all the same, has its row."""
    rows = {name for row in re.findall(r"^\| (`[^|]*) \|", page, re.M) for name in row.split("`")}
    quiet = {"closed", "probe"}
    assert {*get_args(Reason), *get_args(OrderReason)} - quiet - rows == set()
