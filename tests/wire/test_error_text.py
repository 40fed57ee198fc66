"""Tests of `proxy/wire/error_text.py`."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.error_text import MAX_CHARACTERS, clean_text

KEYS = [
    "sk-proj-Ab12Cd34Ef56Gh78Ij90Kl12Mn34Op56Qr78St90",
    "sk-ab***cd",
    "sk-ab**************************************cd12",
    "sk-or-v1-0123456789abcdef",
    "sk_live_0123456789",
    "AIzaSyA-0123456789abcdefghijklmnopqrstu",
    "xai-0123456789abcdef",
    "gsk_0123456789abcdef",
    "pplx-0123456789abcdef",
    "hf_abcdefghij",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "ya29.a0Af_abc-DEF",
    "0123456789abcdef0123456789abcdef",
    "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0fA",
    "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9w/+==",
    "org-AbCdEfGhIjKlMnOp",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "text", ["{}", "Incorrect API key provided: {}.", 'key="{}", sent', "({})"]
)
def test_keys_are_masked(key: str, text: str) -> None:
    """No shape of key, whole or starred in part, is left in a text."""
    cleaned = clean_text(text.format(key))
    assert "***" in cleaned
    for part in (key, key[:12], key[-8:]):
        assert part not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer canary",
        "bearer  canary/x",
        "api_key=canary1",
        "api-key: canary1",
        '"access_token":"canary1"',
        "https://h/v1?api_key=canary1&x=1",
        "password = canary1",
    ],
)
def test_what_is_said_to_be_a_secret_is_masked(text: str) -> None:
    """The word in front gives a secret away, whatever it looks like."""
    assert "canary" not in clean_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "Unrecognized keyword argument: skeleton_key_value",
        "The model `gpt-4o-mini-2024-07-18` does not exist.",
        "Unsupported parameter: 'max_tokens' is not supported with this model.",
        "This model's maximum context length is 8192 tokens, you asked for 9000.",
        "A bearer token is required; the secret of success is keyboards.",
        "Invalid value: 'key': at messages[0].content[1].image_url",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo is busy",
    ],
)
def test_ordinary_words_are_left_alone(text: str) -> None:
    """What only begins like a key is not masked: the client has to be able to read it."""
    assert clean_text(text) == text


def test_a_page_becomes_one_line_of_text() -> None:
    """Tags, control characters and line ends are gone."""
    page = "<html>\r\n<head><title>502 Bad\tGateway</title></head>\x1b[31m<b>nginx</b>\x00</html>"
    assert clean_text(page) == "502 Bad Gateway [31m nginx"


def test_characters_that_hide_or_turn_text_are_gone() -> None:
    """Invisible and direction-changing characters do not split a key or turn a line."""
    assert clean_text("sk-ab\u200bcd\u202eef12") == "***"
    assert clean_text("a\u202eb\u2066c\ufeff") == "abc"


@given(st.text())
def test_any_text_becomes_short_and_one_line(text: str) -> None:
    """The result is at most 500 printable characters on one line."""
    cleaned = clean_text(text)
    assert len(cleaned) <= MAX_CHARACTERS
    assert len(cleaned.splitlines()) <= 1
    assert cleaned == cleaned.strip()


def test_a_long_text_is_cut_with_a_sign_that_it_was() -> None:
    """Beyond 500 characters the text ends with an ellipsis."""
    assert clean_text("word " * 200).endswith("…")
    assert len(clean_text("word " * 200)) == MAX_CHARACTERS


def test_a_key_at_the_cut_does_not_show_its_first_half() -> None:
    """Where the text is cut before it is searched, it is cut between words."""
    for shift in range(60):
        text = "<b>" * 1300 + "x" * shift + " " + "aB3" * 13 + "aB3dE6gH9 more words" * 300
        assert "aB3aB3" not in clean_text(text)


@pytest.mark.parametrize(
    "unit", ["sk-", "<", "eyJ", "a1", "bearer ", "key=", "A", "-", " ", "\u202e"]
)
def test_a_megabyte_made_to_be_slow_is_quick(unit: str) -> None:
    """Hostile text costs no more than a few milliseconds."""
    text = unit * (1_000_000 // len(unit))
    started_s = time.process_time()
    clean_text(text)
    assert time.process_time() - started_s < 0.2
