"""Each path that goes to a provider, with and without `/v1`."""

import aiohttp
import msgspec
import pytest

from tests.fakes.proxy_server import ANSWER, AUTH, build_chat, proxying
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.upstream_scripts import answering

pytestmark = [pytest.mark.usefixtures("no_leaks"), pytest.mark.both_connections]

COMPLETION = {"id": "cmpl-1", "object": "text_completion", "choices": [{"text": "x", "index": 0}]}
VECTORS = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}]}
CASES = {
    "/chat/completions": (build_chat(), ANSWER),
    "/completions": ({"model": "m", "prompt": "hi"}, COMPLETION),
    "/embeddings": ({"model": "m", "input": "hi", "encoding_format": "base64"}, VECTORS),
}


@pytest.mark.parametrize("prefix", ["/v1", ""])
@pytest.mark.parametrize("path", CASES)
async def test_each_operation_goes_to_its_own_path_upstream(path: str, prefix: str) -> None:
    """The provider is asked on the same path, and its answer comes back byte for byte."""
    ask, answer = CASES[path]
    script = answering(answer)
    async with open_raw_upstream(script) as upstream, proxying(upstream.url) as server:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"http://127.0.0.1:{server.port}{prefix}{path}", json=ask, headers=AUTH
            ) as reply,
        ):
            assert reply.status == 200
            assert await reply.read() == msgspec.json.encode(answer)
        (record,) = await server.observer.wait_for_records()
    assert script.requests[0][0] == f"POST /v1{path} HTTP/1.1"
    assert script.body() == ask
    assert record.endpoint == path
