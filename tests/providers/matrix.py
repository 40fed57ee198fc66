"""
Which client can ask which provider for what: the table in docs/providers.md, found by asking.

The real server and pipeline stand in front of the simulator, which speaks each provider's own
format over HTTP. `python -m tests.providers.matrix` prints the table, to be put between the marks.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import ClientSession

from proxy.simulator.server import RunningSimulator, open_simulator
from tests.fakes.proxy_server import build_provider, build_snapshot, serving
from tests.providers.hub_reading import values_of
from tests.providers.matrix_clients import (
    ADDRESS,
    Body,
    Client,
    NoSuchField,
    Read,
)
from tests.providers.matrix_dialects import CLIENTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "providers.md"
BEGIN, END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"
PROVIDERS: dict[str, dict[str, str]] = {
    "openai": {"base_url": "/v1"},
    "anthropic": {"base_url": ""},
    "gemini": {"base_url": "/v1beta"},
    "azure": {"base_url": "", "api_version": "2024-10-21"},
    "cohere": {"base_url": ""},
    "ollama": {"base_url": ""},
}
QUESTION = "Is it sunny in Lisbon?"
TOKENS = (6, 6)
"""What the simulator counts of the question, which `sim-echo` repeats."""
ECHO, TOOLS, LOOK = "sim-echo@0tps", "sim-tools@2calls", "sim-look"
# Two names, as who is asked too often is not asked again for a while.
LIMITED, LIMITED_STREAM = "sim-fault-u21-429-seconds", "sim-fault-u21-429-seconds@0ms"
LATER = "sim-fault-u20-error-later"
THINKING = "sim-tools@2calls,3thoughts"
CUT, CUT_WHOLE = "sim-fault-u10-eof-chunked", "sim-fault-u11-length-short"
MODELS = (ECHO, TOOLS, LOOK, LIMITED, LIMITED_STREAM, LATER, CUT, CUT_WHOLE, THINKING)


ENDINGS = (
    *(b"[DONE]", b"message_stop", b'"stop_reason":"', b'"finish_reason":"', b"stream-end"),
    b'"done":true',
)
"""What ends an answer that is whole."""
FAILED_GENERATION = b'"finish_reason":"ERROR"'


def find_error(value: Body) -> Body:
    """Return what an error says of itself; in some dialects that is all of the body."""
    holder: Body = value.get("response", value)
    error: Body | str = holder.get("error", holder)
    return {**value, "message": error} if isinstance(error, str) else error


def find_message(value: Body) -> str:
    """Return the words of an error, which every dialect has."""
    error = find_error(value)
    return str(error.get("message") or error["err"])


class Refused(Exception):
    """We refused the request, and asked nobody; the argument is the field that it was for."""


class Asking:
    """One client in front of one provider."""

    def __init__(
        self, client: Client, session: ClientSession, url: str, provider: RunningSimulator
    ) -> None:
        self.client = client
        self._session = session
        # Ollama's paths stand at the root of a server.
        self._url = (url.removesuffix("/v1") if "/api/" in client.path else url) + client.path
        self._provider = provider
        self.lacks_thoughts = False
        """The last answer said that thoughts were missing which the provider wants back."""

    async def ask(self, body: Body) -> tuple[int, aiohttp.ClientResponse, bytes]:
        """Return status, response and body."""
        headers = self.client.headers
        async with self._session.post(self._url, json=body, headers=headers) as response:
            return response.status, response, await response.read()

    async def get(self, body: Body) -> bytes:
        """Return the body of an answer; Refused if the request could not be asked of anybody."""
        self._provider.ledger.clear()
        status, response, answer = await self.ask(body)
        if status == 400 and not self._provider.ledger.entries():
            error = find_error(json.loads(answer))
            raise Refused(error.get("param") or error["details"]["param"])
        assert status == 200, answer
        assert "x-llm-proxy-dropped-params" not in response.headers
        self.lacks_thoughts = "x-llm-proxy-reasoning" in response.headers
        return answer

    async def read(self, body: Body) -> Read:
        """Return what a whole answer says."""
        return self.client.read_whole(await self.get(body))

    async def follow(self, body: Body) -> Read:
        """Return what a stream says."""
        return self.client.read_stream(await self.get(self.client.stream(body)))


async def _text(asking: Asking) -> None:
    read = await asking.read(asking.client.ask(ECHO, QUESTION))
    assert read == Read(QUESTION, asking.client.finished, TOKENS)


async def _stream(asking: Asking) -> None:
    read = await asking.follow(asking.client.ask(ECHO, QUESTION))
    assert read == Read(QUESTION, asking.client.finished, TOKENS)


async def _tools(asking: Asking) -> None:
    """Two calls at once, one without arguments, streamed and whole; and then their results."""
    client = asking.client
    body = client.offer_tools(client.ask(TOOLS, QUESTION))
    for read in (await asking.follow(body), await asking.read(body)):
        assert [call[1:] for call in read.calls] == [("now", {}), ("weather", {"city": "Lisbon"})]
        assert read.finish in ("tool_calls", "tool_use")
        assert len({call[0] for call in read.calls}) == 2
        after = await asking.follow(client.answer_calls(body, read))
        assert (after.text, after.finish) == ("The tool answered: noon", client.finished)


async def _thoughts(asking: Asking) -> None:
    """What was thought is shown, and taken back unaltered with the results of the calls."""
    client = asking.client
    body = client.want_thoughts(client.offer_tools(client.ask(THINKING, QUESTION)))
    for read in (await asking.follow(body), await asking.read(body)):
        assert read.thoughts == " Let me see"
        after = await asking.read(client.answer_calls(body, read))
        assert after.text == "The tool answered: noon"
        assert not asking.lacks_thoughts


async def _json(asking: Asking) -> None:
    body = asking.client.want_json(asking.client.ask(ECHO, QUESTION))
    for read in (await asking.read(body), await asking.follow(body)):
        assert json.loads(read.text) == {"ok": True}
        assert read.finish == asking.client.finished


async def _image(asking: Asking) -> None:
    read = await asking.read(asking.client.show(LOOK, by_address=False))
    assert read.text == "I see: image/png of 8 bytes."


async def _image_address(asking: Asking) -> None:
    read = await asking.read(asking.client.show(LOOK, by_address=True))
    assert read.text == f"I see: {ADDRESS}."


async def _error(asking: Asking) -> None:
    """A refusal for now keeps its status and its delay, and is told in the client's dialect."""
    client = asking.client
    whole = client.ask(LIMITED, QUESTION)
    for body in (whole, client.stream(client.ask(LIMITED_STREAM, QUESTION))):
        status, response, answer = await asking.ask(body)
        assert (status, response.headers["retry-after"]) == (429, "2"), answer
        assert client.is_rate_limit(json.loads(answer))


async def _truncated(asking: Asking) -> None:
    """What breaks off ends in an error, in a stream that has begun and before; never in an end."""
    client = asking.client
    for model in (CUT, LATER):
        status, _, answer = await asking.ask(client.stream(client.ask(model, QUESTION)))
        assert status == 200
        events = list(values_of(answer))
        assert len(events) >= 2
        assert find_message(events[-1])
        for word in ENDINGS:
            assert word not in answer.replace(b": ", b":").replace(FAILED_GENERATION, b"")
    status, _, answer = await asking.ask(client.ask(CUT_WHOLE, QUESTION))
    assert status == 502
    assert find_message(json.loads(answer))


Feature = Callable[[Asking], Awaitable[None]]
FEATURES: dict[str, Feature] = {
    "text": _text,
    "stream": _stream,
    "tools": _tools,
    "thoughts": _thoughts,
    "json": _json,
    "image": _image,
    "image by address": _image_address,
    "error": _error,
    "truncated": _truncated,
}


@asynccontextmanager
async def facing(
    client: str, provider: str, models: tuple[str, ...] = MODELS
) -> AsyncIterator[Asking]:
    """Serve a provider of that type, and give a client in front of it."""
    simulator = await open_simulator()
    try:
        fields: dict[str, Any] = {**PROVIDERS[provider], "type": provider, "models": models}
        fields["base_url"] = simulator.url + fields["base_url"]
        async with (
            serving(build_snapshot(build_provider(**fields))) as server,
            ClientSession() as session,
        ):
            yield Asking(CLIENTS[client], session, server.url, simulator)
    finally:
        await simulator.close()


async def find_outcome(asking: Asking, feature: str) -> str:
    """Return what becomes of a feature: a cell of the table. AssertionError: it goes wrong."""
    try:
        await FEATURES[feature](asking)
    except Refused as refused:
        return f"refused: `{refused}`"
    except NoSuchField:
        return "-"
    return "yes"


def read_cells() -> dict[tuple[str, str, str], str]:
    """Return the cells of the table in the page, by client, provider and feature."""
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
    ]
    return {
        (row[0], row[1].strip("`"), feature): cell
        for row in rows
        for feature, cell in zip(head[2:], row[2:], strict=True)
    }


async def build_table() -> str:
    """Return the table in Markdown, every cell of it asked for."""
    rows = [("client", "provider", *FEATURES), ("---",) * (len(FEATURES) + 2)]
    for client in CLIENTS:
        for provider in PROVIDERS:
            async with facing(client, provider) as asking:
                cells = [await find_outcome(asking, feature) for feature in FEATURES]
            rows.append((client, f"`{provider}`", *cells))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    print(asyncio.run(build_table()), end="")  # noqa: T201
