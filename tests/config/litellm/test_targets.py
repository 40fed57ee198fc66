"""The deployments of a `model_list`."""

from typing import Any

from proxy.config.litellm.notes import Notes
from proxy.config.litellm.targets import Targets, read_targets


def item(name: str, model: str, **params: Any) -> dict[str, Any]:
    """Return one deployment of LiteLLM's."""
    return {"model_name": name, "litellm_params": {"model": model, **params}}


def read(*items: Any) -> tuple[Targets, str]:
    """Return what a list comes to, and its notes."""
    notes = Notes()
    return read_targets(list(items), {}, None, notes), "\n".join(notes.lines)


def test_deployments_that_are_asked_alike_are_one_provider() -> None:
    """Same type, address and key: one entry with all its models; another key is another one."""
    found, _ = read(
        item("a", "openai/gpt-4o"),
        item("b", "openai/gpt-4o-mini"),
        item("c", "openai/gpt-4o", api_key="os.environ/OTHER_API_KEY"),
    )
    assert [(e["name"], e["models"]) for e in found.providers] == [
        ("openai", ["gpt-4o", "gpt-4o-mini"]),
        ("openai-2", ["gpt-4o"]),
    ]
    assert [(t.name, t.provider) for t in found.targets] == [
        *(("a", "openai"), ("b", "openai"), ("c", "openai-2")),
    ]


def test_who_serves_any_model_has_the_name_that_clients_write_before_it() -> None:
    """`openai/*` is the provider `openai`, also behind another one of that type."""
    found, notes = read(item("mine", "openai/gpt-4o", timeout=3), item("openai/*", "openai/*"))
    assert [(e["name"], e["models"]) for e in found.providers] == [
        ("openai-2", ["gpt-4o"]),
        ("openai", ["*"]),
    ]
    assert found.patterns == ("openai/*",)
    assert "serves every model" in notes


def test_a_bare_name_goes_first_to_whom_it_is_meant_for() -> None:
    """Who is only asked by a name with its own in front stands behind who takes any."""
    found, _ = read(item("groq/*", "groq/*"), item("*", "openai/*"), item("xai/*", "xai/*"))
    priorities = {entry["name"]: entry.get("priority", 1) for entry in found.providers}
    assert priorities == {"groq": 2, "openai": 1, "xai": 2}


def test_prices_and_windows_are_kept_by_model() -> None:
    """Costs of a token become those of a million, to six digits; a second word is noted."""
    facts = {"input_cost_per_token": "0.00000015", "max_input_tokens": 9, "supports_vision": True}
    found, notes = read(
        {**item("a", "gpt-4o", output_cost_per_token=6e-07), "model_info": facts},
        {**item("b", "gpt-4o"), "model_info": {"max_input_tokens": 8}},
    )
    assert found.providers[0]["model_info"] == {
        "gpt-4o": {
            "max_input_tokens": 9,
            "input_usd_per_million_tokens": 0.15,
            "output_usd_per_million_tokens": 0.6,
        }
    }
    assert notes == "model_list[1] b: other prices or limits of the same model: the first ones hold"


def test_what_cannot_be_read_is_noted_and_passed_over() -> None:
    """Items of another shape, and models of vendors that have no type here, are left out."""
    found, notes = read(None, {"model_name": "a"}, item("b", "bedrock/x"), item("c", "gpt-4o"))
    assert [target.name for target in found.targets] == ["c"]
    assert [line.split(":")[0] for line in notes.splitlines()] == [
        *("model_list[0]", "model_list[1]", "model_list[2] b"),
    ]
