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


def _to_micros(usd: float | None) -> int | None:
    # The shortest text of a float is what was written: `value_types.Price` has no more digits.
    return None if usd is None else int(Decimal(str(usd)).scaleb(MICROS_DIGITS))
