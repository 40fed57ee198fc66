"""What is noted for an operator."""

from proxy.config.litellm.notes import Notes, name_key


def test_each_note_is_told_once_and_in_order() -> None:
    """A line that comes again is not repeated."""
    notes = Notes()
    for place in ("b", "a", "b"):
        notes.add(place, "is gone")
    assert notes.lines == ("b: is gone", "a: is gone")


def test_the_rest_of_a_section_is_noted_by_name() -> None:
    """What nobody has read is named with its reason; null is nothing; values are not told."""
    notes = Notes()
    given = {"read": 1, "cache": "sk-value", "other": "sk-value", "empty": None}
    notes.add_rest("s", given, frozenset(("read",)), {"cache": "answers are not kept"})
    assert notes.lines == ("s.cache: answers are not kept", "s.other: has no counterpart")


def test_a_secret_in_the_place_of_a_name_is_not_shown() -> None:
    """Names of models are shown as they are, what looks like a key is not."""
    assert name_key("openrouter/*") == "openrouter/*"
    assert name_key("meta-llama/Llama-3.3:free") == "meta-llama/Llama-3.3:free"
    assert name_key("sk-abcdefghijklmnopqrstuvwxyz") == "(name not shown)"
    assert name_key("a/sk-abcdefghijklmnopqrstuvwxyz") == "(name not shown)"
