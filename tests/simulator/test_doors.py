"""Which format a path means."""

import pytest

from proxy.domain.errors import InvalidRequest, RouteNotFound
from proxy.simulator.doors import find_format, open_door
from proxy.simulator.response_memory import ResponseMemory
from tests.simulator.native import VERSION

MEMORY = ResponseMemory()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "openai"),
        ("/completions", "openai"),
        ("/v1/models", "openai"),
        ("/v1/responses", "responses"),
        ("/responses/input_tokens", "responses"),
        ("/responses/resp_1/input_items", "responses"),
        ("/openai/v1/responses", "azure"),
        ("/openai/responses", "azure"),
        ("/v1/messages", "anthropic"),
        ("/messages/count_tokens", "anthropic"),
        ("/v1beta/models", "gemini"),
        ("/v1/models/sim-echo:generateContent", "gemini"),
        ("/v1beta/models/sim-story%4050tps:streamGenerateContent", "gemini"),
        ("/openai/deployments/sim-echo/chat/completions", "azure"),
        ("/openai/v1/models", "azure"),
        ("/v2/chat", "cohere"),
        ("/v2/embed", "cohere"),
        ("/v1/check-api-key", "cohere"),
        ("/api/chat", "ollama"),
        ("/api/generate", "ollama"),
        ("/api/embed", "ollama"),
        ("/api/tags", "ollama"),
        ("/api/show", "ollama"),
        ("/api/version", "ollama"),
    ],
)
def test_the_path_says_the_format(path: str, name: str) -> None:
    """Each vendor's paths are its own, and there is something behind each of them."""
    assert find_format(path, {}).name == name
    assert open_door(path, "alt=sse&api-version=2024-10-21", {}, MEMORY).format.name == name


def test_models_are_listed_by_header() -> None:
    """The list of models is Anthropic's for who sends its version."""
    assert find_format("/v1/models", VERSION).name == "anthropic"
    assert open_door("/v1/models/sim-echo", "", VERSION, MEMORY).model == "sim-echo"


def test_a_page_of_models_is_coheres() -> None:
    """Nobody else asks for a size of it."""
    assert open_door("/v1/models", "page_size=1000", {}, MEMORY).format.name == "cohere"
    assert open_door("/v1/models", "page_size=1", VERSION, MEMORY).format.name == "anthropic"


def test_a_key_is_asked_about_without_a_request() -> None:
    """There is nothing to read in it."""
    door = open_door("/v1/check-api-key", "", {}, MEMORY)
    assert door.is_key and door.read is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages/batches",
        "/v1beta/models/sim-echo:predict",
        "/openai/deployments/sim-echo/audio/speech",
        "/v1/audio/speech",
        "/api/pull",
    ],
)
def test_other_paths_lead_nowhere(path: str) -> None:
    """What the simulator has not is not found."""
    with pytest.raises(RouteNotFound):
        open_door(path, "api-version=2024-10-21", VERSION, MEMORY)


def test_geminis_streams_are_sse() -> None:
    """A stream of Gemini's must be asked for as events."""
    with pytest.raises(InvalidRequest):
        open_door("/v1beta/models/sim-echo:streamGenerateContent", "", {}, MEMORY)
