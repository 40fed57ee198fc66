"""What passes as it comes, asked by openai-python: the proxy in front of the simulator."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from msgspec.structs import replace
from openai import AsyncOpenAI

from proxy.domain.catalog import Deployment, Group
from proxy.domain.identity import Caller
from proxy.domain.secret import Secret
from proxy.simulator.server import RunningSimulator, SimulatorOptions, open_simulator
from tests.fakes.proxy_server import (
    ADMIN_KEY,
    HASHER,
    KEY,
    PROVIDER_KEY,
    ProxyServer,
    build_provider,
    build_snapshot,
    serving,
)
from tests.upstream.asking import take_turns

pytestmark = [pytest.mark.usefixtures("no_leaks")]

OTHER_KEY = "another key of another organization"
FEW_KEY = "a key for few models"
FAULT = "sim-fault-u21-429-seconds"
EARLY = "sim-fault-u40-early-400"
MODELS = ("sim-echo", FAULT, EARLY)
WAV = b"RIFF" + bytes(range(256)) * 40


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    """A simulator that asks for its key."""
    running = await open_simulator(options=SimulatorOptions(api_key=Secret(PROVIDER_KEY)))
    yield running
    await running.close()


@pytest.fixture
async def server(simulator: RunningSimulator) -> AsyncIterator[ProxyServer]:
    """The proxy, which calls the simulator's model `voice`; both keys are of one organization."""
    provider = build_provider(
        f"{simulator.url}/v1", type="openai_compatible", models=MODELS, name="up"
    )
    snapshot = build_snapshot(provider)
    voice = Group("voice", (Deployment(provider, "sim-echo"),))
    few = Caller(HASHER.key_id(FEW_KEY), models=frozenset(("voice",)))
    snapshot = replace(
        snapshot,
        groups={**snapshot.groups, "voice": voice},
        callers={**snapshot.callers, HASHER.digest(FEW_KEY): few},
    )
    async with serving(snapshot) as running:
        yield running


def _client(server: ProxyServer, key: str = KEY) -> AsyncOpenAI:
    return AsyncOpenAI(api_key=key, base_url=server.url, max_retries=0)


@pytest.fixture
async def client(server: ProxyServer) -> AsyncIterator[AsyncOpenAI]:
    """A client of the proxy."""
    async with _client(server) as client:
        yield client


async def test_speech_streams_and_is_recorded(client: AsyncOpenAI, server: ProxyServer) -> None:
    """Bytes of audio arrive whole and piece by piece, under their own type; one record tells it."""
    asked: dict[str, Any] = {"model": "voice", "voice": "alloy", "input": "Say this. " * 40}
    whole = await client.audio.speech.create(**asked, response_format="wav")
    assert whole.content.startswith(b"RIFF")
    assert whole.response.headers["content-type"] == "audio/wav"
    pieces = []
    async with client.audio.speech.with_streaming_response.create(
        **asked, response_format="wav"
    ) as streamed:
        async for piece in streamed.iter_bytes():
            pieces.append(piece)
    assert b"".join(pieces) == whole.content
    record = (await server.observer.wait_for_records(2))[0]
    assert (record.endpoint, record.status, record.ending) == ("/audio/speech", 200, "completed")
    assert (record.alias, record.provider, record.model) == ("voice", "up", "sim-echo")


async def test_speech_as_events_keeps_its_type(client: AsyncOpenAI) -> None:
    """A stream of events stays one, event by event."""
    async with client.audio.speech.with_streaming_response.create(
        model="voice", voice="alloy", input="Hi", stream_format="sse"
    ) as streamed:
        assert streamed.headers["content-type"] == "text/event-stream"
        text = (await streamed.read()).decode()
    kinds = [json.loads(line[6:])["type"] for line in text.split("\n") if line[:7] == "data: {"]
    assert kinds == ["speech.audio.delta", "speech.audio.done"]


async def test_a_transcription_passes_with_the_providers_model(
    client: AsyncOpenAI, server: ProxyServer, simulator: RunningSimulator
) -> None:
    """The file arrives whole, the alias as the deployment's model, and usage is counted."""
    answer = await client.audio.transcriptions.create(model="voice", file=("a b.wav", WAV))
    assert answer.text == f"I heard {len(WAV)} bytes of a b.wav."
    record = (await server.observer.wait_for_records())[0]
    assert record.endpoint == "/audio/transcriptions"
    assert record.usage is not None
    assert record.usage.output_tokens > 0
    sent = simulator.ledger.entries()[0]
    assert sent.model == "sim-echo"
    assert dict(sent.headers)["Content-Length"] == str(sent.body_bytes)


@pytest.mark.parametrize("kind", ["text", "srt", "vtt", "verbose_json"])
async def test_each_format_of_a_transcription_passes(client: AsyncOpenAI, kind: Any) -> None:
    """Plain text and JSON of any shape come back as the provider wrote them."""
    answer: Any = await client.audio.transcriptions.create(
        model="voice", file=("a.wav", WAV), response_format=kind
    )
    assert f"I heard {len(WAV)} bytes" in (answer if isinstance(answer, str) else answer.text)


async def test_a_transcription_streams(client: AsyncOpenAI) -> None:
    """Events of a streamed transcription reach the client one by one."""
    stream = await client.audio.transcriptions.create(
        model="voice", file=("a.wav", WAV), stream=True
    )
    events = [event async for event in stream]
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1] if hasattr(event, "delta")) == (
        f"I heard {len(WAV)} bytes of a.wav."
    )


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_a_translation_passes(client: AsyncOpenAI) -> None:
    """Translations go the way of transcriptions."""
    answer = await client.audio.translations.create(model="voice", file=("a.wav", WAV))
    assert answer.text.startswith("In English")


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_pictures_are_made_edited_and_varied(client: AsyncOpenAI) -> None:
    """JSON and forms with several pictures both pass, and so does a stream of parts."""
    made = await client.images.generate(model="voice", prompt="A dot", n=2)
    assert made.data is not None
    assert len(made.data) == 2
    picture = base64.b64decode(made.data[0].b64_json or "")
    edited = await client.images.edit(
        model="voice",
        prompt="Redder",
        image=[("a.png", picture, "image/png"), ("b.png", picture, "image/png")],
    )
    assert edited.data
    varied = await client.images.create_variation(model="voice", image=("a.png", picture))
    assert varied.data
    stream = await client.images.generate(
        model="voice", prompt="A dot", stream=True, partial_images=2
    )
    kinds = [event.type async for event in stream]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]


async def test_moderations_pass(client: AsyncOpenAI) -> None:
    """What is judged comes back with its categories."""
    answer = await client.moderations.create(model="voice", input=["peace", "violence"])
    assert [result.flagged for result in answer.results] == [False, True]


async def test_rerank_passes_on_each_of_its_paths(client: AsyncOpenAI, server: ProxyServer) -> None:
    """Cohere's path and OpenAI's way to write it lead to the same place."""
    asked = {"model": "voice", "query": "red dot", "documents": ["blue", "a red dot"], "top_n": 1}
    root = server.url.removesuffix("/v1")
    for url in (f"{root}/v1/rerank", f"{root}/v2/rerank", f"{root}/rerank"):
        answer: Any = await client.post(url, cast_to=object, body=asked)
        assert answer["results"] == [{"index": 1, "relevance_score": 1.0}]


async def test_files_and_batches_live_in_the_providers_account(client: AsyncOpenAI) -> None:
    """A file is uploaded, listed, read and deleted; a batch is begun, listed and cancelled."""
    content = b'{"custom_id": "1"}\n' * 100
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    assert file.bytes == len(content)
    assert [each.id async for each in client.files.list(purpose="batch", limit=2)] == [file.id]
    assert (await client.files.retrieve(file.id)).filename == "in.jsonl"
    read = await client.files.content(file.id)
    assert read.content == content
    assert "in.jsonl" in read.response.headers["content-disposition"]
    batch = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert (await client.batches.retrieve(batch.id)).status == "in_progress"
    assert [each.id async for each in client.batches.list()] == [batch.id]
    assert (await client.batches.cancel(batch.id)).status == "cancelled"
    assert (await client.files.delete(file.id)).deleted
    with pytest.raises(openai.NotFoundError) as caught:
        await client.files.retrieve(file.id)
    assert caught.value.code == "not_found"


async def test_a_key_for_few_models_begins_no_batch(server: ProxyServer) -> None:
    """A batch may name any model: only who may ask for all may begin one."""
    async with _client(server, FEW_KEY) as client:
        with pytest.raises(openai.PermissionDeniedError):
            await client.batches.create(
                input_file_id="file-1", endpoint="/v1/embeddings", completion_window="24h"
            )
        with pytest.raises(openai.NotFoundError) as caught:
            await client.moderations.create(model="sim-echo", input="x")
        assert caught.value.code == "model_not_found"


async def test_accounts_are_closed_to_several_organizations(
    simulator: RunningSimulator, server: ProxyServer
) -> None:
    """With keys of two organizations nobody gets in, but whom the provider's setting names."""
    other = Caller(HASHER.key_id(OTHER_KEY), organization_id="other")
    admin = Caller(HASHER.key_id(ADMIN_KEY), role="admin")
    snapshot = server.runtime.snapshot
    shared = replace(
        snapshot,
        callers={
            **snapshot.callers,
            HASHER.digest(OTHER_KEY): other,
            HASHER.digest(ADMIN_KEY): admin,
        },
    )
    provider = replace(snapshot.providers["up"], files_organization="other")
    owned = replace(shared, providers={"up": provider})
    async with (
        _client(server) as ours,
        _client(server, OTHER_KEY) as theirs,
        _client(server, ADMIN_KEY) as admins,
    ):
        server.runtime.publish(shared, server.runtime.transports)
        for client in (ours, theirs):
            with pytest.raises(openai.PermissionDeniedError) as caught:
                await client.files.list()
            assert "files_organization" in caught.value.message
        assert (await admins.files.list()).data == []
        server.runtime.publish(owned, server.runtime.transports)
        assert (await theirs.files.list()).data == []
        with pytest.raises(openai.PermissionDeniedError):
            await ours.files.list()
    assert len(simulator.ledger.entries()) == 2


async def test_a_providers_errors_are_told_as_in_chats(
    client: AsyncOpenAI, server: ProxyServer
) -> None:
    """A limit of the provider's is a 429 that the SDK may repeat by itself."""
    with pytest.raises(openai.RateLimitError) as caught:
        await client.audio.transcriptions.create(model=FAULT, file=("a.wav", WAV))
    assert "x-should-retry" not in caught.value.response.headers
    assert caught.value.response.headers["retry-after"]
    record = (await server.observer.wait_for_records())[0]
    assert (record.status, record.error_code) == (429, "rate_limit_exceeded")


async def test_an_early_refusal_ends_a_long_upload(client: AsyncOpenAI) -> None:
    """A provider that refuses in the middle of a body is heard, and the rest is not sent."""
    with pytest.raises(openai.BadRequestError):
        await client.audio.transcriptions.create(model=EARLY, file=("a.wav", bytes(8_000_000)))


async def test_a_client_that_leaves_takes_its_upload_along(
    server: ProxyServer, simulator: RunningSimulator
) -> None:
    """Who hangs up in the middle of a form ends the provider's request too, and is recorded."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    start = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nvoice\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    )
    writer.write(
        b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: it\r\nAuthorization: Bearer "
        + KEY.encode()
        + b"\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000000\r\n\r\n"
        + start
        + bytes(1_000_000)
    )
    await writer.drain()
    while not simulator.ledger.entries() or not simulator.ledger.entries()[0].body_bytes:
        await take_turns()
    writer.close()
    assert await simulator.ledger.wait_ended(1, 10)
    record = (await server.observer.wait_for_records())[0]
    assert record.ending == "client_closed"
    assert simulator.ledger.entries()[0].outcome == "client_closed"
    del reader
