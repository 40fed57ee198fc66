"""Promises of README that can be tried: what it tells a reader to do works."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct

from proxy.config.load import LoadedConfig, load_config
from proxy.simulator.knobs import Knobs
from proxy.simulator.transport import SimulatorTransport
from tests.fakes.proxy_server import DONE, HASHER, ProxyServer, build_chunk, serving
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import Recorder
from tests.promises.markdown import read_blocks, read_sections
from tests.promises.tree import ROOT

README = (ROOT / "README.md").read_text()
SHIPPED = "http://127.0.0.1:8000"
OWN_KEY = "sk-canary-provider-4f1b7c20d9e8a356"

_CONTENT = re.compile(rb'"content":"((?:[^"\\]|\\.)*)"')
# Stands in for the program that makes random keys, which a test machine may lack.
_MAKE_KEY = "#!/bin/sh\necho 0123456789abcdef0123456789abcdef\n"


class Asking(Struct, frozen=True):
    """What a `curl` line of the documents sends."""

    url: str
    headers: dict[str, str]
    body: bytes


@pytest.fixture
async def server() -> AsyncIterator[ProxyServer]:
    """The shipped configuration, served; its simulator talks without pauses."""
    loaded = load_config(ROOT / "config.yaml", {}, HASHER, now_at=0.0)
    fast = SimulatorTransport(Knobs(tokens_per_s=0, first_token_ms=0))
    async with serving(loaded.snapshot, {"simulator": fast}) as running:
        yield running


async def test_the_first_curl_line_streams(server: ProxyServer) -> None:
    """README's first `curl` line gets the events that are shown below it, and `[DONE]`."""
    shown = next(block.text for block in read_blocks(README, "") if "data: " in block.text)
    status, media_type, body = await ask(read_curl(0), server)
    assert (status, media_type) == (200, "text/event-stream")
    words = _CONTENT.findall(shown.encode())
    assert len(words) >= 4
    assert _CONTENT.findall(body)[: len(words)] == words
    assert body.endswith(DONE)


async def test_the_python_example_tells_the_story(server: ProxyServer) -> None:
    """README's example for OpenAI's library prints the same story, and nothing else."""
    (block,) = read_blocks(README, "python")
    assert SHIPPED in block.text
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", block.text.replace(f"{SHIPPED}/v1", server.url)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    _, _, body = await ask(read_curl(0), server)
    story = json.loads(b'"%b"' % b"".join(_CONTENT.findall(body)))
    assert printed.decode() == story


async def test_five_minutes_lead_to_an_own_key(tmp_path: Path) -> None:
    """Whoever follows README's steps gets a valid configuration and a stream by their own key."""
    follow_steps(tmp_path)
    script = Recorder(build_chunk("hello"), build_chunk(finish="stop"), DONE)
    async with open_raw_upstream(script) as upstream:
        loaded = load_own(tmp_path, PROXY_API_PROVIDERS__OPENAI__BASE_URL=upstream.url)
        assert (loaded.warnings, loaded.not_in_force) == ((), ())
        async with serving(loaded.snapshot) as server:
            key = re.search(r'- "([0-9a-f]{32})"', (tmp_path / "config.yaml").read_text())
            assert key is not None
            status, _, body = await ask(read_curl(1, KEY=key[1]), server)
    assert (status, body.endswith(DONE)) == (200, True)
    ((_, headers, _),) = script.requests
    assert headers["authorization"] == f"Bearer {OWN_KEY}"
    assert script.body()["model"] == "gpt-4o-mini"


def test_the_example_for_a_local_server_is_valid(tmp_path: Path) -> None:
    """README's local.yaml serves any model from LM Studio's address, without a key."""
    (block,) = read_blocks(read_sections(README)["A server on your own machine"], "yaml")
    text = block.text.replace("write here what openssl rand -hex 32 prints", "0f" * 32)
    (tmp_path / "config.yaml").write_text(text)
    loaded = load_own(tmp_path)
    assert loaded.warnings == ()
    group = loaded.snapshot.find_group("whatever-is-loaded")
    assert group is not None
    provider = group.deployments[0].provider
    assert (provider.base_url, provider.enabled) == ("http://127.0.0.1:1234/v1", True)
    assert provider.clocks.first_token_s == 600


def test_other_vendors_are_added_as_readme_says(tmp_path: Path) -> None:
    """README's entries and the variables that it names put three more providers in service."""
    section = read_sections(README)["Five minutes to your own OpenAI key"]
    (block,) = read_blocks(section, "yaml")
    keys = re.findall(r"`([A-Z_]+_KEY)`", block.before)
    (tmp_path / "config.yaml").write_text(f"api_keys: [{'0f' * 16}]\nproviders:\n{block.text}")
    loaded = load_own(tmp_path, **dict.fromkeys(keys, OWN_KEY))
    assert loaded.warnings == ()
    providers = loaded.snapshot.providers.values()
    assert [p.type for p in providers if p.enabled] == ["anthropic", "gemini", "azure"]


def read_curl(number: int, **variables: str) -> Asking:
    """Return what README's `curl` line of that number sends, with a shell's variables filled in."""
    lines = [b.text for b in read_blocks(README, "sh") if b.text.startswith("curl ")]
    text = lines[number].replace("\\\n", " ")
    for name, value in variables.items():
        text = text.replace(f"${name}", value)
    program, *arguments = shlex.split(text)
    assert (program, arguments.pop(0)) == ("curl", "-N")
    url, headers, body = arguments.pop(0), {}, b""
    while arguments:
        option, value = arguments.pop(0), arguments.pop(0)
        if option == "-H":
            name, _, content = value.partition(": ")
            headers[name] = content
        else:
            assert option == "-d"
            body = value.encode()
    return Asking(url, headers, body)


async def ask(asking: Asking, server: ProxyServer) -> tuple[int, str, bytes]:
    """Return status, content type and body of the answer at a server of this process."""
    assert asking.url.startswith(f"{SHIPPED}/v1/")
    url = server.url + asking.url.removeprefix(f"{SHIPPED}/v1")
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=asking.body, headers=asking.headers) as answer,
    ):
        return answer.status, answer.content_type, await answer.read()


def follow_steps(folder: Path) -> None:
    """Do in `folder` what the first two of README's five minutes say, as a shell would."""
    section = read_sections(README)["Five minutes to your own OpenAI key"]
    steps = [b.text for b in read_blocks(section, "sh") if re.match(r"cp |KEY=", b.text)]
    assert len(steps) == 2
    for name in ("config.yaml", ".env.example"):
        (folder / name).write_text((ROOT / name).read_text())
    programs = folder / "bin"
    programs.mkdir()
    # The reader's part in step 1: take away the '#', write the key.
    edit = f"s/^#(PROXY_API_OPENAI_API_KEY=).*/\\1{OWN_KEY}/"
    for name, text in (("openssl", _MAKE_KEY), ("editor", f"#!/bin/sh\nsed -E -i '{edit}' $1\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-euc", "\n".join(steps)],
        cwd=folder,
        env={"PATH": path, "EDITOR": "editor"},
        check=True,
    )


def load_own(folder: Path, **environ: str) -> LoadedConfig:
    """Return the configuration of a folder under a made-up environment."""
    return load_config(folder / "config.yaml", environ, HASHER, now_at=0.0)
