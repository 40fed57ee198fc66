"""In whose words a refusal is told."""

import pytest

from proxy.server.client_dialect import find_client_dialect


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/v1/messages", {}, "anthropic"),
        ("/messages/count_tokens", {}, "anthropic"),
        ("/v1/messages/batches", {}, "anthropic"),
        ("/v1/generate", {}, "generate"),
        ("/generate", {}, "generate"),
        ("/v1/models", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("/v1/models", {}, "openai"),
        ("/v1/chat/completions", {}, "openai"),
        ("", {}, "openai"),
    ],
)
def test_path_or_header_say_how_a_client_speaks(
    path: str, headers: dict[str, str], name: str
) -> None:
    """Messages are Anthropic's, and so is whoever names its version; all else is OpenAI's."""
    assert find_client_dialect(path, headers).name == name
