"""What is known of models, and prices that stay exact."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.build_model_info import build_model_info
from proxy.config.problem import ConfigError
from proxy.config.provider_schema import ModelInfoEntry
from proxy.domain.catalog import ModelInfo
from tests.config.loading import GOOD_KEY, load_text, warnings_of


def _load(folder: Path, entry: str) -> tuple[dict[str, ModelInfo], list[str]]:
    """Return what is known of the models of the provider `p`, and the warnings."""
    text = f"api_keys: [{GOOD_KEY}]\nproviders:\n  - {{name: p, type: lm_studio, {entry}}}\n"
    loaded = load_text(folder, text)
    lines = [line.removeprefix(f"{folder}/") for line in warnings_of(loaded)]
    return dict(loaded.snapshot.providers["p"].model_info), lines


def test_what_is_known_of_a_model_reaches_the_catalog(tmp_path: Path) -> None:
    """Dollars become millionths of dollars; what is not said is None."""
    entry = "models: [m, n], model_info: {m: {max_input_tokens: 128000, "
    entry += "input_usd_per_million_tokens: 0.15, output_usd_per_million_tokens: 60}, n: {}}"
    info, warnings = _load(tmp_path, entry)
    assert info == {"m": ModelInfo(128_000, 150_000, 60_000_000), "n": ModelInfo()}
    assert warnings == []


@given(st.integers(0, 10**12))
def test_no_price_is_rounded(micros: int) -> None:
    """Every price with six digits behind the point becomes exactly the number of its millionths."""
    usd = float(f"{micros // 10**6}.{micros % 10**6:06d}")
    entry = ModelInfoEntry(input_usd_per_million_tokens=usd)
    info = build_model_info({"m": entry})["m"]
    assert info.input_usd_micros_per_million_tokens == micros


@pytest.mark.parametrize(
    ("models", "warning"),
    [
        ("[gpt-4o]", "did you mean 'gpt-4o'?"),
        ("[phi]", "add it to models, or remove it here"),
    ],
)
def test_what_is_said_of_a_model_that_is_not_listed(
    tmp_path: Path, models: str, warning: str
) -> None:
    """It is a warning at the model's name, with the name that was probably meant."""
    info, warnings = _load(tmp_path, f"models: {models}, model_info: {{gpt-4: {{}}}}")
    assert list(info) == ["gpt-4"]
    what = "model_info: the provider does not list this model"
    column = 55 + len(models)
    assert warnings == [f"config.yaml:3:{column}: {what}: {warning}"]


def test_a_provider_of_any_model_may_say_something_of_each(tmp_path: Path) -> None:
    """With `models: ["*"]` no name is a stranger."""
    assert _load(tmp_path, "models: ['*'], model_info: {gpt-4: {}}")[1] == []


PRICES = "input_usd_per_million_tokens: 1, output_usd_per_million_tokens: 2"
PAID = "probe: completion, probe_max_usd_per_day: 0.1"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (f"models: [m, n], model_info: {{m: {{{PRICES}}}}}, {PAID}", None),
        (f"models: [m, n], model_info: {{n: {{{PRICES}}}}}, {PAID}", "both prices of 'm'"),
        (f"models: [m], model_info: {{m: {{max_input_tokens: 9}}}}, {PAID}", "both prices of 'm'"),
        (f"models: ['*'], {PAID}", "list a model"),
    ],
)
def test_a_completion_without_a_price_is_pointed_out(
    tmp_path: Path, entry: str, words: str | None
) -> None:
    """`probe: completion` asks the first listed model, if both of its prices are known."""
    _, warnings = _load(tmp_path, entry)
    assert len(warnings) == (words is not None)
    assert words is None or words in warnings[0]


def test_a_completion_needs_a_limit_of_what_it_may_cost(tmp_path: Path) -> None:
    """Nobody pays for checks without having said how much."""
    with pytest.raises(ConfigError, match="set probe_max_usd_per_day"):
        _load(tmp_path, f"models: [m], model_info: {{m: {{{PRICES}}}}}, probe: completion")
