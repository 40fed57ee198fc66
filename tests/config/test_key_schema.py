"""What an entry of `api_keys` may say, and how a mistake in it is told."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from proxy.config.key_schema import ApiKey, ApiKeyEntry
from proxy.config.setting import settings_by_path
from tests.config.loading import GOOD_KEY, HASHER, load_text, problems_of

SIM = "providers:\n  - {name: sim, type: simulator, models: [sim-echo]}\n"
READER: TypeAdapter[ApiKeyEntry] = TypeAdapter(ApiKey)


def test_a_text_is_a_key_without_settings() -> None:
    """`- key` and `- {key: key}` mean the same."""
    entry = READER.validate_python(GOOD_KEY)
    assert entry == READER.validate_python({"key": GOOD_KEY})
    assert (entry.models, entry.organization_id, entry.rate_limit_rpm) == (None, "default", None)


def test_printing_an_entry_shows_no_key() -> None:
    """The key is not in the repr of its entry."""
    assert GOOD_KEY not in repr(READER.validate_python(GOOD_KEY))


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("12345678901234567", "1:12: api_keys: this is neither a key nor a section that holds"),
        ("null", "1:12: api_keys: this is neither a key nor a section that holds"),
        ("[c4nary]", "1:12: api_keys: this is neither a key nor a section that holds"),
        ("'c4nary with blanks'", "1:12: api_keys: this key cannot be sent in a header"),
        ("{models: [m]}", "1:12: 'key' is missing here"),
        ("{key: 'c4nary x'}", "1:18: key: this key cannot be sent in a header"),
        ("{key: 12345}", "1:18: key: text is needed here"),
        ("{key: c4nary, modles: [m]}", "1:26: the key 'modles' is not known here: did you mean"),
        ("{key: c4nary, models: []}", "1:34: models: this is empty"),
        ("{key: c4nary, models: m}", "1:34: models: a list is needed here"),
        ("{key: c4nary, models: [' m']}", "1:35: models: this is not a model name"),
        ("{key: c4nary, rate_limit_rpm: 0}", "1:42: rate_limit_rpm: this number is out of"),
        ("{key: c4nary, organization_id: 'a b'}", "1:43: organization_id: this is not a name"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_never_with_the_key(
    tmp_path: Path, item: str, told: str
) -> None:
    """Line and column of what is wrong, in words; no error repeats a key."""
    lines = problems_of(tmp_path, f"api_keys: [{item}, {GOOD_KEY}]\n{SIM}")
    assert lines[0].startswith(f"config.yaml:{told}")
    assert not any("c4nary" in line or "12345" in line for line in lines)


def test_variables_still_replace_the_keys(tmp_path: Path) -> None:
    """PROXY_API_API_KEYS names plain keys, in place of the file's entries."""
    text = f"api_keys: [{{key: {GOOD_KEY}1, models: [sim-echo]}}]\n{SIM}"
    for value in (f"{GOOD_KEY}2,{GOOD_KEY}3", f'["{GOOD_KEY}2", "{GOOD_KEY}3"]'):
        callers = load_text(tmp_path, text, {"PROXY_API_API_KEYS": value}).snapshot.callers
        assert callers.keys() == {HASHER.digest(GOOD_KEY + n) for n in "23"}
        assert {caller.models for caller in callers.values()} == {None}


def test_every_setting_of_an_entry_is_a_documented_one() -> None:
    """What an entry takes is what the list of settings says of it."""
    listed = {path for path in settings_by_path() if path.startswith("api_keys[].")}
    assert listed == {f"api_keys[].{name}" for name in ApiKeyEntry.model_fields}
