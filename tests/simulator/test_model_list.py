"""Lists of models in each vendor's shape."""

import pytest

from proxy.domain.errors import ModelNotFound
from proxy.simulator.model_list import find_model, list_models


def test_each_vendor_lists_in_its_own_shape() -> None:
    """The same models stand in `data` or `models`, under the names that each vendor uses."""
    openai = [model["id"] for model in list_models("http")["data"]]
    anthropic = list_models("http", "anthropic")
    gemini = [model["name"] for model in list_models("http", "gemini")["models"]]
    assert "sim-echo" in openai
    assert [model["id"] for model in anthropic["data"]] == openai
    assert (anthropic["first_id"], anthropic["last_id"]) == (openai[0], openai[-1])
    assert gemini == [f"models/{name}" for name in openai]
    cohere = list_models("http", "cohere")["models"]
    assert [model["name"] for model in cohere] == openai
    assert [model["name"] for model in cohere if model["endpoints"] == ["embed"]] == ["sim-embed"]


def test_a_model_is_found_at_any_speed() -> None:
    """A name with a speed is the model it names; one that does not exist is not found."""
    assert find_model("sim-echo@5tps", "http", "anthropic")["type"] == "model"
    with pytest.raises(ModelNotFound):
        find_model("sim-nothing", "http")
