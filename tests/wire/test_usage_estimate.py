"""Token counts from bytes."""

from msgspec import Raw

from proxy.domain.usage import Usage
from proxy.wire.base import Ask
from proxy.wire.usage_estimate import count_files, estimate_usage


def estimated(said_bytes: int, **fields: bytes) -> Usage:
    return estimate_usage(
        Ask("chat", "m", {name: Raw(raw) for name, raw in fields.items()}), said_bytes
    )


def test_a_token_is_four_bytes_rounded_up() -> None:
    """Prompt and answer count a quarter of their bytes each, and are marked as estimated."""
    assert estimated(0) == Usage(0, 0, source="estimated")
    assert estimated(1, messages=b"[1]") == Usage(1, 1, source="estimated")
    assert estimated(5, prompt=b"x" * 8) == Usage(2, 2, source="estimated")


def test_tools_are_part_of_the_prompt_and_settings_are_not() -> None:
    """What the model reads counts, what steers it does not."""
    assert estimated(0, messages=b"x" * 4, tools=b"x" * 4, user=b"x" * 400).input_tokens == 2


def test_files_in_the_prompt_do_not_count_by_their_size() -> None:
    """An image of a megabyte is not a quarter of a million tokens; text around it counts."""
    image = b'{"url":"data:image/png;base64,' + b"iVBORw0K" * 100_000 + b'=="}'
    assert estimated(0, messages=b'["abcd",' + image + b"]").input_tokens == 5


def test_files_of_anthropics_clients_do_not_count_by_their_size() -> None:
    """Their files have a member of their own; what stands beside it counts."""
    data = b'"data": "' + b"iVBORw0K" * 100_000 + b'=="'
    source = b'{"type":"base64","media_type":"image/png",' + data + b"}"
    prompt = b'["abcd",' + source + b"," + source + b"]"
    expected = -(-(len(prompt) - 2 * len(data)) // 4)
    assert estimated(0, messages=prompt).input_tokens == expected
    ask = Ask("messages", "m", {"messages": Raw(prompt), "system": Raw(b'"x"')})
    assert count_files(ask) == 2


def test_the_system_prompt_of_anthropics_clients_counts() -> None:
    """It stands beside the messages, and the model reads it all the same."""
    assert estimated(0, messages=b"x" * 4, system=b"x" * 8).input_tokens == 3


def test_text_that_only_speaks_of_files_counts() -> None:
    """Nobody hides a prompt behind the words that begin a file."""
    text = b'"data:image/png;base64, ' + b"a word " * 1000 + b'"'
    assert estimated(0, messages=text).input_tokens == -(-len(text) // 4)


def test_pictures_of_ollamas_clients_do_not_count_by_their_size() -> None:
    """They stand in a list beside the text, as Base64 and nothing else."""
    pictures = b'"images": ["' + b"iVBORw0K" * 100_000 + b'", "/9j/"]'
    prompt = b'[{"role":"user","content":"abcd",' + pictures + b"}]"
    expected = -(-(len(prompt) - len(pictures)) // 4)
    assert estimated(0, messages=prompt).input_tokens == expected
    text = b'["\\"images\\": [\\"iVBORw0K\\"]"]'
    assert estimated(0, messages=text).input_tokens == -(-len(text) // 4)
