"""The worked examples of CONTRIBUTING.md, done as they stand there."""

import json
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.errors import NotOffered
from proxy.domain.settings import Clocks
from proxy.providers import openai_compatible, registry
from proxy.providers.base import ProviderType
from proxy.providers.kind import Kind
from proxy.providers.openai_format import OpenAIFormat
from proxy.wire.base import Ask
from proxy.wire.dialects import find_dialect
from tests.fakes.third_party import install_package
from tests.promises.markdown import Block, read_blocks, read_sections
from tests.promises.tree import ROOT
from tests.providers import samples

SECTIONS = read_sections((ROOT / "CONTRIBUTING.md").read_text())
LINES = b'{"say":"Hel"}\n{"say":"lo"}\n{"heard":3,"said":2}\n'


def blocks(title: str, language: str) -> list[Block]:
    """Return the blocks of one language in one section."""
    return read_blocks(SECTIONS[title], language)


def test_a_row_and_a_folder_are_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the row, what is written beside the recorded sample is what the page shows."""
    title = "Add a provider of OpenAI's format"
    (row,) = blocks(title, "python")
    kind = eval(row.text, vars(openai_compatible).copy())
    assert isinstance(kind, Kind)
    monkeypatch.setattr(registry, "_KINDS", {kind.type: kind})
    monkeypatch.setattr(registry, "_TYPES", {kind.type: OpenAIFormat(kind)})
    (entry,) = blocks(title, "yaml")
    assert f"type: {kind.type}" in entry.text
    request, sent = blocks(title, "json")
    response, expected = (each for each in blocks(title, "") if "data: " in each.text)
    case = tmp_path / kind.type / "stream"
    case.mkdir(parents=True)
    (case / "request.json").write_text(request.text)
    (case / "response.200.sse").write_text(response.text)
    samples.write(case)
    assert (case / "sent.json").read_text() == sent.text
    assert (case / "expected.200.sse").read_text() == expected.text


@pytest.fixture
def voice() -> ModuleType:
    """The file of the example with a format of its own."""
    (block,) = blocks("Add a provider with a format of its own", "python")
    module = ModuleType("acme_voice")
    exec(block.text, vars(module))
    return module


def open_ask(operation: Any, **fields: Any) -> Ask:
    """Return what a client asks."""
    messages = [{"role": "user", "content": "Say hi."}]
    body = {"model": "parrot", "max_tokens": 9, "messages": messages, **fields}
    return find_dialect(operation).parse_ask(operation, json.dumps(body).encode(), {})


@pytest.mark.parametrize("operation", ["chat", "messages"])
def test_a_file_is_a_provider(voice: ModuleType, operation: Any) -> None:
    """It is asked as it wants, and clients of every dialect are answered, streamed and whole."""
    provider_type: ProviderType = voice.AcmeVoice()
    deployment = Deployment(Provider("a", "acme_voice", voice.ACME_VOICE.base_url), "parrot")
    ask = open_ask(operation, stream=True)
    request = provider_type.build_request(ask, deployment, {})
    assert request.url == "https://voice.acme.example/talk"
    assert json.loads(request.body) == {"voice": "parrot", "words": ["Say hi."]}
    reader = provider_type.open_stream(ask, 1 << 20)
    streamed = b"".join(reader.feed(LINES[at : at + 1]) for at in range(len(LINES)))
    assert (reader.error, reader.is_complete) == (None, True)
    assert b"Hel" in streamed
    whole = provider_type.read_answer(open_ask(operation), LINES)
    assert b"Hello" in whole.body
    assert whole.usage is not None
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (3, 2)
    assert b"Hel" in provider_type.stream_answer(ask, LINES).body


def test_a_file_says_what_its_provider_cannot_do(voice: ModuleType) -> None:
    """What would change the answer is refused, what is broken is an error, and it can be probed."""
    provider_type: ProviderType = voice.AcmeVoice()
    provider = Provider("a", "acme_voice", voice.ACME_VOICE.base_url)
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    with pytest.raises(NotOffered):
        deployment = Deployment(provider, "parrot")
        provider_type.build_request(open_ask("chat", tools=tools), deployment, {})
    for broken in (LINES[:20], b"no JSON\n", b'{"heard":-1}\n'):
        reader = provider_type.open_stream(open_ask("chat", stream=True), 1 << 20)
        reader.feed(broken)
        reader.finish()
        assert reader.error is not None
    probe = provider_type.build_probe(provider, Clocks())
    assert probe is not None
    assert probe.url == "https://voice.acme.example/voices"


@pytest.mark.parametrize("which", ["row", "file"])
def test_a_package_brings_a_provider(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the entry point of the page its type is found, be it a row or an object."""
    title = "Add a provider in a package of your own"
    (project,), (module,) = blocks(title, "toml"), blocks(title, "python")
    declared = tomllib.loads(project.text)["project"]
    ((name, target),) = declared["entry-points"]["llm_proxy.providers"].items()
    assert target == "llm_proxy_acme:ACME"
    source, place = module.text, target.partition(":")[2]
    if which == "file":
        (block,) = blocks("Add a provider with a format of its own", "python")
        source, name, place = f"{block.text}\nvoice = AcmeVoice()\n", "acme_voice", "voice"
    install_package(tmp_path, source, place, type_name=name, name=declared["name"])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_loaded_kinds", {})
    monkeypatch.setattr(registry, "_loaded_types", {})
    try:
        kind = registry.load_type(name)
        assert kind is not None
        assert registry.find_type(name).name == name
    finally:
        sys.modules.pop("llm_proxy_acme_module", None)
