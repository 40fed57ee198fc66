"""A provider's `model_info:` -> what the catalog knows of its models, prices as whole numbers."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from proxy.config.node import Node
from proxy.config.problem import Problem, suggest
from proxy.config.provider_schema import ModelInfoEntry, ProviderEntry
from proxy.config.value_types import MICROS_DIGITS
from proxy.domain.catalog import WILDCARD, ModelInfo


def build_model_info(entries: Mapping[str, ModelInfoEntry]) -> dict[str, ModelInfo]:
    """Return what is known of each model."""
    return {
        model: ModelInfo(
            max_input_tokens=entry.max_input_tokens,
            input_usd_micros_per_million_tokens=_to_micros(entry.input_usd_per_million_tokens),
            output_usd_micros_per_million_tokens=_to_micros(entry.output_usd_per_million_tokens),
        )
        for model, entry in entries.items()
    }


def find_unlisted_info(
    entry: ProviderEntry, tree: Node, steps: tuple[str | int, ...]
) -> Iterator[Problem]:
    """Yield a warning for each model of `model_info` that the provider does not serve."""
    if WILDCARD in entry.models:
        return
    for model in entry.model_info:
        if model not in entry.models:
            close = suggest(model, entry.models)
            mend = f"did you mean '{close}'?" if close else "add it to models, or remove it here"
            what = "model_info: the provider does not list this model"
            node = tree.find(*steps, "model_info", model)
            place = node and node.key_place
            yield Problem(place or tree.place_of(*steps, "model_info", model), what, mend)


def find_unpriced_probe(
    entry: ProviderEntry, tree: Node, steps: tuple[str | int, ...]
) -> Iterator[Problem]:
    """Yield a warning where `probe: completion` has no effect, for want of a price or a model."""
    if entry.probe != "completion":
        return
    model = next((name for name in entry.models if name != WILDCARD), None)
    info = None if model is None else entry.model_info.get(model)
    prices = info and (info.input_usd_per_million_tokens, info.output_usd_per_million_tokens)
    if prices is None or None in prices:
        what = "probe: it is asked as with 'free', because the price of a completion is not known"
        mend = f"give both prices of '{model}' in model_info"
        if model is None:
            mend = "list a model in front of '\"*\"', and its prices in model_info"
        yield Problem(tree.place_of(*steps, "probe"), what, mend)


def _to_micros(usd: float | None) -> int | None:
    # The shortest text of a float is what was written: `value_types.Price` has no more digits.
    return None if usd is None else int(Decimal(str(usd)).scaleb(MICROS_DIGITS))
