"""Keys in text that others wrote, and words that only look a little like one."""

import time

import pytest

from proxy.domain.key_mask import MASK, hide_secret, mask_keys

CANARY = "cAnArY7f3K9qLm2XwZ8rT5vB1nD4"


@pytest.mark.parametrize(
    "text",
    [
        f"sk-{CANARY}",
        f"sk-ant-api03-{CANARY}",
        f"AIza{CANARY}",
        f"ghp_{CANARY}",
        f"(r8_{CANARY})",
        f"org-{CANARY}",
        f"eyJ{CANARY}.{CANARY}.x",
        f"Proxy-Authorization: Basic {CANARY}",
        f"Bearer {CANARY}",
        f'"client_secret":"{CANARY}"',
        f"private-key = {CANARY}",
        f"https://user:{CANARY}@host/",
        f"models/{CANARY}",
        "canary-0123456789abcdef0123456789abcdef",
    ],
)
def test_keys_are_masked(text: str) -> None:
    """A key in any of its usual dresses is replaced, wholly."""
    masked = mask_keys(text)
    assert MASK in masked
    assert CANARY[:8] not in masked
    assert "0123456789" not in masked


@pytest.mark.parametrize(
    "text",
    [
        "accounts/fireworks/models/deepseek-coder-v2-lite-instruct",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "The model `gpt-4o-mini-2024-07-18` does not exist.",
        "01890a5d-ac96-774b-bcce-b302099a8057",
        "A bearer token is required; the secret of success is keyboards.",
        "This model's maximum context length is 8192 tokens, you asked for 9000.",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Model names, UUIDs and sentences pass unchanged."""
    assert mask_keys(text) == text


@pytest.mark.parametrize(
    "unit",
    ["sk-", "eyJ", "a1", "bearer ", "api_key=", "token ", "A", "-", " ", "://", "org-", "=", "'"],
)
def test_the_cost_grows_with_the_length_and_not_faster(unit: str) -> None:
    """100 kB made to slow a pattern down are done in far less than a second."""
    text = unit * (100_000 // len(unit))
    started_s = time.process_time()
    mask_keys(text)
    assert time.process_time() - started_s < 0.5


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("the key a+b/lantern is bad: a+b/lantern", "the key *** is bad: ***"),
        ("see ?key=a%2Bb%2Flantern", "see ?key=***"),
        ("the key a+b/lant…", "the key ***…"),
        ("the key a%2Bb%2…", "the key ***…"),
        ("cut elsewhere …", "cut elsewhere …"),
        ("a lantern, a+b", "a lantern, a+b"),
        ("", ""),
    ],
)
def test_a_known_secret_is_hidden_however_it_is_written(text: str, hidden: str) -> None:
    """Plain, URL-encoded and cut off at the end it goes; what only resembles it stays."""
    assert hide_secret(text, "a+b/lantern") == hidden
