"""
Every type of provider under its own name: what it sends, replayed through the served proxy.

The program serves a provider of each type in front of an upstream that answers with the recorded
bytes of tests/samples/<type>/. OpenAI's own client asks. What arrives there, and what the client
is given, is what the sample says.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from msgspec import Struct

from proxy.providers.registry import SIMULATOR, find_kind, known_types
from tests.end_to_end.asking import TRUST
from tests.end_to_end.served import (
    ADMIN_KEY,
    KEY,
    PROVIDER_KEY,
    ServedProxy,
    build_config,
    serving,
)
from tests.fakes.replaying_upstream import ReplayingUpstream, replaying
from tests.fakes.third_party import OWN_TYPE, install_package
from tests.promises.tree import ROOT
from tests.providers.hub_samples import AZURE_URL, MODELS
from tests.providers.sdk import accumulate

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
TYPES = [name for name in known_types() if name != SIMULATOR.type]
CASES = ("text", "stream", "tool_call", "error")
OWN_HEADERS = {"anthropic": "x-api-key", "azure": "api-key", "gemini": "x-goog-api-key"}
"""Where the key goes; all others get it as `Authorization: Bearer`."""


class Sample(Struct, frozen=True):
    """One recorded case, whichever of the two layouts it has (see tests/providers)."""

    asked: dict[str, Any]
    path: str
    """Of the request that is to arrive, behind the base URL's own."""
    sent: dict[str, Any]
    status: int
    kind: str
    body: bytes
    headers: dict[str, str]
    expected_status: int
    expected: bytes
    model: str


def find_folder(type_name: str, case: str) -> Path:
    """Return where a case is recorded; of errors it is the one of a limit where there are many."""
    folder = SAMPLES / type_name / case
    return SAMPLES / type_name / "error_rate" if case == "error" and not folder.exists() else folder


def read_json(path: Path) -> Any:
    """Return the file's JSON, {} if there is no such file."""
    return json.loads(path.read_bytes()) if path.exists() else {}


def read_sample(type_name: str, case: str) -> Sample:
    """Return a case of a type."""
    folder = find_folder(type_name, case)
    is_hub = (folder / "request.chat.json").exists()
    middle = ".chat" if is_hub else ""
    sent = read_json(folder / f"sent{middle}.json")
    kind = find_kind(type_name)
    assert kind is not None
    base = kind.base_url or (AZURE_URL if type_name == "azure" else "")
    (response,) = folder.glob("response.*")
    (expected,) = folder.glob(f"expected{middle}.[0-9]*")
    _, status, suffix = response.name.split(".")
    return Sample(
        asked=read_json(folder / f"request{middle}.json"),
        path=sent["url"].removeprefix(base) if is_hub else kind.operations["chat"],
        sent=sent["body"] if is_hub else sent,
        status=int(status),
        kind=suffix,
        body=response.read_bytes(),
        headers=read_json(folder / "headers.json"),
        expected_status=int(expected.name.split(".")[-2]),
        expected=expected.read_bytes(),
        model=read_json(folder / "deployment.json").get("model")
        or MODELS.get(type_name, "model-x"),
    )


def build_entry(type_name: str, port: int) -> dict[str, Any]:
    """Return a provider of a type, at the upstream below a path of its own."""
    kind = find_kind(type_name)
    assert kind is not None
    entry = {
        "name": type_name,
        "type": type_name,
        "base_url": f"http://127.0.0.1:{port}/{type_name}{find_base_path(type_name)}",
        "api_key": PROVIDER_KEY,
        "models": sorted({read_sample(type_name, case).model for case in CASES}),
        "max_retries": 0,
    }
    version = read_json(find_folder(type_name, "text") / "deployment.json").get("api_version")
    return {**entry, "api_version": version} if version else entry


def find_base_path(type_name: str) -> str:
    """Return the path that a type's own address has."""
    kind = find_kind(type_name)
    return urlsplit((kind and kind.base_url) or "").path.rstrip("/")


@pytest.fixture(scope="module")
def upstream() -> Iterator[ReplayingUpstream]:
    """The one upstream that stands for all providers."""
    with replaying() as running:
        yield running


@pytest.fixture(scope="module")
def served(
    upstream: ReplayingUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedProxy]:
    """One proxy with a provider of each type, and one that a package brings."""
    site = tmp_path_factory.mktemp("site")
    install_package(site, OWN_TYPE, "acme")
    providers = [build_entry(name, upstream.port) for name in TYPES]
    acme = {"name": "mine", "type": "acme", "base_url": f"http://127.0.0.1:{upstream.port}/acme"}
    providers.append({**acme, "api_key": PROVIDER_KEY, "models": ["acme-1"]})
    folder = tmp_path_factory.mktemp("named")
    variables = {"PYTHONPATH": f"{ROOT}:{site}"}
    # With an admin key conftest.py mends the breakers: no test hears of what failed in another.
    config = build_config(providers=providers, admin_keys=[ADMIN_KEY])
    with serving(folder, config, variables=variables) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: ServedProxy) -> Iterator[openai.OpenAI]:
    """OpenAI's client, without retries."""
    http = openai.DefaultHttpxClient(verify=TRUST)
    url = f"{served.url}/v1"
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0, http_client=http) as client:
        yield client


def ask(client: openai.OpenAI, model: str, asked: dict[str, Any]) -> Any:
    """Return the client's answer to what a sample asks, under that name."""
    given = {name: asked[name] for name in ("messages", "stream") if name in asked}
    rest = {name: value for name, value in asked.items() if name not in ("model", *given)}
    return client.chat.completions.create(model=model, **given, extra_body=rest)


def read_answer(client: openai.OpenAI, model: str, asked: dict[str, Any]) -> Any:
    """Return (what was said, error) as the client's own types have it."""
    values: list[dict[str, Any]] = []
    try:
        answer = ask(client, model, asked)
        if not asked.get("stream"):
            return tell(answer.to_dict()["choices"][0]["message"]), None
        values.extend(chunk.to_dict() for chunk in answer)
    except openai.APIStatusError as error:
        return None, (error.status_code, error.body)
    except openai.APIError as error:
        return read_deltas(values), (200, error.body)
    return tell(accumulate(values, is_whole=False)), None


def read_expected(sample: Sample) -> Any:
    """Return the same of what the sample says that the client gets."""
    if not sample.asked.get("stream") or sample.expected_status != 200:
        value = json.loads(sample.expected)
        if sample.expected_status != 200:
            return None, (sample.expected_status, value["error"])
        return tell(value["choices"][0]["message"]), None
    lines = [line[6:] for line in sample.expected.decode().split("\n\n")[:-1]]
    values = [json.loads(line) for line in lines if line != "[DONE]"]
    if "error" in values[-1]:
        return read_deltas(values[:-1]), (200, values[-1]["error"])
    return tell(accumulate(values, is_whole=False)), None


def tell(message: dict[str, Any]) -> Any:
    """Return what a message says; ids that we make up are another each time."""
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    wanted = ("role", "content", "refusal", "reasoning_content", "annotations")
    told = {name: message[name] for name in wanted if message.get(name)}
    return told, [(call["name"], json.loads(call["arguments"])) for call in calls]


def read_deltas(values: list[dict[str, Any]]) -> str:
    """Return the text of chunks that came to no end."""
    return "".join(value["choices"][0]["delta"].get("content") or "" for value in values)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("type_name", TYPES)
def test_a_provider_of_every_type_is_asked_and_answers(
    type_name: str, case: str, upstream: ReplayingUpstream, client: openai.OpenAI
) -> None:
    """Path, key and body arrive as this type wants them; the client gets what the sample says."""
    sample = read_sample(type_name, case)
    upstream.play(sample.status, sample.kind, sample.body, sample.headers)
    answer = read_answer(client, f"{type_name}/{sample.model}", sample.asked)
    (arrived,) = upstream.arrived
    assert arrived.path == f"/{type_name}{find_base_path(type_name)}{sample.path}"
    own = OWN_HEADERS.get(type_name)
    keys = {own: PROVIDER_KEY} if own else {"authorization": f"Bearer {PROVIDER_KEY}"}
    told = {"authorization", *OWN_HEADERS.values()} & arrived.headers.keys()
    assert {header: arrived.headers[header] for header in told} == keys
    assert json.loads(arrived.body) == sample.sent
    assert answer == read_expected(sample)


def test_a_provider_that_a_package_brings_is_asked_and_answers(
    upstream: ReplayingUpstream, client: openai.OpenAI
) -> None:
    """Supervisor and workers find the package: its own header arrives, its repairs are made."""
    body = read_sample("together", "text")
    upstream.play(200, "json", body.body)
    said, error = read_answer(client, "mine/acme-1", {**body.asked, "max_completion_tokens": 9})
    assert (said[0]["content"], error) == (read_expected(body)[0][0]["content"], None)
    (arrived,) = upstream.arrived
    assert (arrived.path, arrived.headers["x-acme"]) == ("/acme/chat/completions", "1")
    assert json.loads(arrived.body)["max_tokens"] == 9
