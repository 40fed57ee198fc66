"""The health worker's file: what is watched, and for whom."""

from proxy.config.probe_file import ProbeFile, read_probes
from proxy.domain.catalog import Provider
from proxy.domain.health import WatchedEndpoint

PROVIDERS = (
    Provider("openai_default", "openai", "https://api.openai.com/v1"),
    Provider("second", "openai", "https://api.openai.com:443/v1", enabled=False),
    Provider("local", "lm_studio", "http://127.0.0.1:1234/v1"),
)


def _read(text: str) -> ProbeFile:
    return read_probes(text.encode(), "h.json", PROVIDERS)


def test_entries_are_matched_by_name_else_by_host() -> None:
    """An entry speaks for the provider of its name, else for all at its host and port."""
    file = _read(
        """{"providers": [
        {"name": "local", "base_url": "https://api.openai.com", "models": ["m"]},
        {"name": "openai", "base_url": "https://API.openai.com"},
        {"name": "port", "base_url": "http://127.0.0.1:9/v1"}]}"""
    )
    assert file.problems == ()
    assert file.probes == (
        WatchedEndpoint("local", "https://api.openai.com", ("m",), ("local",)),
        WatchedEndpoint("openai", "https://API.openai.com", (), ("openai_default", "second")),
        WatchedEndpoint("port", "http://127.0.0.1:9/v1"),
    )
    (warning,) = file.warnings
    assert str(warning).startswith("h.json:4:18: 'port' is watched, never routed")


def test_every_mistake_is_reported() -> None:
    """Mistakes of all entries are reported at once, each at its place."""
    file = _read(
        """{"providers": [
        {"name": "a b", "base_url": "ftp://x", "models": [1]},
        {"name": "c", "base_urll": "http://x"},
        {"name": "local", "base_url": "http://x"},
        {"name": "local", "base_url": "http://x"},
        5], "other": 1}"""
    )
    assert sorted(str(problem).partition(": ")[0] for problem in file.problems) == [
        "h.json:2:18",
        "h.json:2:37",
        "h.json:2:59",
        "h.json:3:23",
        "h.json:3:9",
        "h.json:5:18",
        "h.json:6:13",
        "h.json:6:9",
    ]


def test_a_file_of_another_shape_is_refused() -> None:
    """The file must be JSON with a list `providers` at its top."""
    assert "this is not JSON" in str(_read("providers: []").problems[0])
    assert "needs a list 'providers'" in str(_read("[]").problems[0])
    assert "needs a list 'providers'" in str(_read('{"providers": {}}').problems[0])
