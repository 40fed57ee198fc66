"""Every ending gives exactly one record, which says how it ended."""

import asyncio

import msgspec
import pytest

from proxy.domain.catalog import MAX_NAME_CHARACTERS
from tests.fakes.proxy_server import (
    ANSWER,
    AUTH,
    HASHER,
    KEY,
    build_chat,
    build_chunk,
    proxying,
)
from tests.fakes.raw_upstream import UpstreamConnection, open_raw_upstream
from tests.fakes.upstream_scripts import answering, post

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_a_record_holds_who_asked_what_of_whom() -> None:
    """A finished request's record names caller, alias, provider, model, tokens and times."""
    async with open_raw_upstream(answering(ANSWER)) as upstream, proxying(upstream.url) as server:
        await post(server.url, build_chat())
        (record,) = await server.observer.wait_for_records()
    assert (record.key_id, record.organization_id) == (HASHER.key_id(KEY), "default")
    assert (record.alias, record.provider, record.model) == ("m", "up", "m")
    assert (record.endpoint, record.streams, record.ttft_s) == ("/chat/completions", False, None)
    assert record.usage is not None
    assert (record.usage.input_tokens, record.usage.output_tokens) == (3, 2)
    assert record.error_code is None
    assert 0.0 < record.attempts[0].duration_s <= record.duration_s


async def test_a_refused_request_has_a_record_without_attempts() -> None:
    """Without a key: status 401, no caller, nobody asked."""
    async with proxying("http://127.0.0.1:1/v1") as server:
        status, _, _ = await post(server.url, build_chat(), Authorization="Bearer nope")
        (record,) = await server.observer.wait_for_records()
    assert (status, record.status, record.ending) == (401, 401, "failed")
    assert (record.key_id, record.provider, record.attempts) == (None, None, ())
    assert record.error_code == "invalid_api_key"


async def test_a_name_that_led_nowhere_is_in_the_record() -> None:
    """An unknown model is recorded as the client wrote it, cut to what a name may be."""
    async with proxying("http://127.0.0.1:1/v1") as server:
        await post(server.url, build_chat(model="nope-" + "x" * 1000))
        (record,) = await server.observer.wait_for_records()
    assert record.alias is not None
    assert record.alias.startswith("nope-xxx")
    assert len(record.alias) <= MAX_NAME_CHARACTERS
    assert record.provider is None


async def test_an_error_without_a_code_is_recorded_by_its_type() -> None:
    """A plain 400 has its type where others have a code."""
    async with proxying("http://127.0.0.1:1/v1") as server:
        await post(server.url, build_chat(temperature=-1))
        (record,) = await server.observer.wait_for_records()
    assert record.error_code == "invalid_request_error"


async def test_shutting_down_interrupts_and_says_so() -> None:
    """A stream that the server's end cuts off is `interrupted` and ends in `server_shutdown`."""

    async def script(connection: UpstreamConnection) -> None:
        await connection.read_request()
        await connection.start_chunked()
        await connection.chunk(build_chunk("he"))
        await connection.watch()

    async with open_raw_upstream(script) as upstream:
        async with proxying(upstream.url) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            body = msgspec.json.encode(build_chat(stream=True))
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: %b\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (AUTH["Authorization"].encode(), len(body), body)
            )
            await reader.readuntil(b'"he"')
        rest = await reader.read(-1)
        writer.close()
        (record,) = await server.observer.wait_for_records()
    assert b'"code":"server_shutdown"' in rest
    assert b"[DONE]" not in rest
    assert (record.ending, record.error_code) == ("interrupted", "server_shutdown")
    assert [attempt.outcome for attempt in record.attempts] == ["interrupted"]
