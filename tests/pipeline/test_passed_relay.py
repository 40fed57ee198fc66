"""The way back of what passes: what of a head goes on, what is no answer, and how it breaks."""

import gzip
import json

import pytest

from proxy.domain.settings import Clocks
from tests.fakes.raw_client import build_request, connecting
from tests.fakes.raw_upstream import UpstreamConnection, stay_until_closed
from tests.fakes.upstream_scripts import Recorder, answering
from tests.pipeline.passing import FILES, ask, judge, passing

pytestmark = pytest.mark.usefixtures("no_leaks")

SPEECH = "POST /v1/audio/speech HTTP/1.1"
SPEAK = json.dumps({"model": "m", "input": "x", "voice": "v"}).encode()


async def _get(path: str, script: Recorder) -> tuple[int, dict[str, str], bytes]:
    async with passing(script) as (server, _):
        data = build_request(b"", "Connection: close", content_type=None, line=FILES)
        data = data.replace(b"/v1/files", path.encode(), 1).replace(b"Content-Length: 0\r\n", b"")
        async with connecting(server.port, data) as client:
            status, headers = await client.read_head()
            return status, headers, await client.read_end()


async def test_type_length_and_disposition_go_on_and_nothing_else() -> None:
    """Bytes arrive as they are, under the type that the provider says, and as no page."""
    script = Recorder(b"\x00\xff" * 500, content_type='audio/mpeg; rate="8000"')
    script.extra = (
        'Content-Disposition: attachment; filename="a.mp3"\r\nSet-Cookie: a=b\r\nX-Secret: 1\r\n'
    )
    async with passing(script) as (server, _):
        answer = await ask(server, SPEAK, line=SPEECH, content_type="application/json")
    assert answer.body == b"\x00\xff" * 500
    assert answer.headers["content-type"] == 'audio/mpeg; rate="8000"'
    assert answer.headers["content-length"] == "1000"
    assert answer.headers["content-disposition"] == 'attachment; filename="a.mp3"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers.keys() & {"set-cookie", "x-secret"} == set()


@pytest.mark.parametrize("kind", ["", "nonsense", "audio/mpeg;", "a/b; c=d; " + "e" * 300])
async def test_a_type_that_is_none_is_bytes(kind: str) -> None:
    """What cannot be a type is told as `application/octet-stream`."""
    script = Recorder(b"abc", content_type=kind)
    async with passing(script) as (server, _):
        answer = await ask(server, SPEAK, line=SPEECH, content_type="application/json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")


async def test_an_error_inside_a_success_is_a_status() -> None:
    """JSON with status 200 that tells of an error becomes that error."""
    script = answering({"error": {"message": "busy", "type": "overloaded_error"}})
    async with passing(script) as (server, _):
        answer = await judge(server)
        (record,) = await server.observer.wait_for_records()
    assert (answer.status, answer.error["code"]) == (503, "upstream_overloaded")
    assert record.ending == "failed"


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"<html>log in</html>", "text/html"), (b"{", "application/json")],
    ids=["a page", "broken JSON"],
)
async def test_what_is_no_answer_is_a_failure(body: bytes, kind: str) -> None:
    """A page of HTML, and JSON that is none, never reach a client as a success."""
    async with passing(Recorder(body, content_type=kind)) as (server, _):
        answer = await judge(server)
    assert (answer.status, answer.error["code"]) == (502, "upstream_protocol_error")


async def test_large_json_passes_as_it_comes() -> None:
    """More JSON than is held goes on in pieces, whole."""
    body = json.dumps({"data": [{"b64_json": "A" * 3_000_000}]}).encode()
    async with passing(Recorder(body, content_type="application/json")) as (server, _):
        answer = await judge(server)
    assert answer.body == body


async def test_a_compressed_answer_arrives_plain() -> None:
    """What was compressed unasked is inflated; its length is then not told."""
    packed = gzip.compress(b'{"results":[]}')
    script = Recorder(packed, content_type="application/json")
    script.extra = "Content-Encoding: gzip\r\n"
    async with passing(script) as (server, _):
        assert (await judge(server)).body == b'{"results":[]}'


async def test_a_file_is_never_looked_at() -> None:
    """The bytes of a file that is JSON, and an error's, are a file."""
    body = b'{"error":{"message":"a line of a batch"}}\n{"second":1}\n'
    script = Recorder(body, content_type="application/json")
    assert (await _get("/v1/files/file-1/content", script))[::2] == (200, body)


async def test_an_id_that_the_provider_does_not_know_is_a_404() -> None:
    """What a client has named by an id is its own to mend, whatever the words were."""
    script = answering({"error": {"message": "No such File object: file-1"}}, 404)
    status, _, body = await _get("/v1/files/file-1", script)
    assert (status, json.loads(body)["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("framing", ["Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_an_answer_that_breaks_is_not_taken_for_whole(framing: str, version: str) -> None:
    """Bytes that are cut off upstream are visibly cut off for the client too."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        start = b"3\r\nabc\r\n" if "chunked" in framing else b"abc"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n{framing}\r\n".encode()
        await connection.write(head + start)
        connection.close()

    line = SPEECH.replace("1.1", version)
    async with passing(script) as (server, _):
        async with connecting(server.port, build_request(SPEAK, line=line)) as client:
            headers = (await client.read_head())[1]
            try:
                body = await client.read_end()
            except ConnectionResetError:
                body = b""
        (record,) = await server.observer.wait_for_records()
    is_unframed = not headers.keys() & {"content-length", "transfer-encoding"}
    assert is_unframed == (version == "1.0" and "chunked" in framing)
    assert not body.endswith(b"0\r\n\r\n")
    assert len(body) < 9
    assert (record.ending, record.error_code) == ("failed", "upstream_disconnected")


async def test_a_stream_of_events_ends_with_an_error_event() -> None:
    """A stream that breaks is told so in its own words."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(b'data: {"type":"speech.audio.delta"}\n\n')
        connection.close()

    async with passing(script) as (server, _):
        data = build_request(SPEAK, "Connection: close", line=SPEECH)
        async with connecting(server.port, data) as client:
            assert (await client.read_head())[0] == 200
            body = await client.read_end()
    assert b'"code":"upstream_disconnected"' in body
    assert body.endswith(b"0\r\n\r\n")


async def test_a_stream_of_events_of_known_length_breaks_like_any_other() -> None:
    """Its error event is within its answer, and not what the connection would bring next."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 40\r\n\r\n"
        await connection.write(head + b'data: {"type":"a"}\n\n')
        connection.close()

    async with passing(script) as (server, _):
        data = build_request(SPEAK, "Connection: close", line=SPEECH)
        async with connecting(server.port, data) as client:
            assert "content-length" not in (await client.read_head())[1]
            body = await client.read_end()
    assert b'"code":"upstream_disconnected"' in body
    assert body.endswith(b"0\r\n\r\n")


async def test_an_answer_above_the_cap_breaks_off() -> None:
    """More than `max_passed_answer_bytes` is not passed on."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked("audio/mpeg")
        for _ in range(20):
            await connection.chunk(bytes(10_000))
        await stay_until_closed(connection)

    async with passing(script, max_passed_answer_bytes=50_000) as (server, _):
        async with connecting(server.port, build_request(SPEAK, line=SPEECH)) as client:
            await client.read_head()
            body = await client.read_end()
        (record,) = await server.observer.wait_for_records()
    assert len(body) < 60_000
    assert record.error_code == "answer_too_large"


async def test_an_answer_that_stalls_breaks_off() -> None:
    """Silence for `idle_s` in the middle of bytes ends them."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked("audio/mpeg")
        await connection.chunk(b"abc")
        await stay_until_closed(connection)

    async with passing(script, clocks=Clocks(idle_s=0.1)) as (server, _):
        async with connecting(server.port, build_request(SPEAK, line=SPEECH)) as client:
            await client.read_head()
            assert await client.read_end() == b"3\r\nabc\r\n"
        (record,) = await server.observer.wait_for_records()
    assert record.error_code == "upstream_stalled"
