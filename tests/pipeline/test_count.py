"""How many tokens a prompt has, without asking anybody."""

import msgspec
import pytest
from msgspec import Raw
from multidict import CIMultiDict

from proxy.domain.errors import NoHealthyProvider
from proxy.domain.identity import Caller
from proxy.pipeline.count import count_locally
from proxy.pipeline.route import Route, route
from proxy.wire.base import Ask
from proxy.wire.dialects import find_dialect
from tests.fakes.proxy_server import build_board, build_provider, build_snapshot

BODY = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'


def ask_for(operation: str) -> Ask:
    return find_dialect("messages").parse_ask(operation, BODY, {})  # type: ignore[arg-type]


def route_to(*types: str) -> Route:
    """Return a route whose candidates are of these types, in this order."""
    providers = [
        build_provider("http://a.test", name=f"p{number}", type=name)
        for number, name in enumerate(types)
    ]
    snapshot = build_snapshot(*providers)
    return route(
        ask_for("count_tokens"), CIMultiDict(), snapshot, Caller("k"), build_board(snapshot)
    )


def test_who_cannot_count_is_not_asked() -> None:
    """The first candidate decides: OpenAI's format knows no such question, so it is an estimate."""
    answer = count_locally(ask_for("count_tokens"), route_to("openai", "gemini"))
    assert answer is not None
    assert msgspec.json.decode(answer.body) == {"input_tokens": 8}
    assert not answer.is_stream


def test_who_can_count_is_asked() -> None:
    """Gemini says itself how many tokens a prompt has there."""
    assert count_locally(ask_for("count_tokens"), route_to("gemini", "openai")) is None


def test_each_question_is_for_those_who_know_it() -> None:
    """OpenAI counts the input of a response itself; for Gemini that is an estimate."""
    ask = Ask("input_tokens", "m", {"input": Raw(b'"eight by"'), "instructions": Raw(b'"hi"')})
    assert count_locally(ask, route_to("openai", "gemini")) is None
    answer = count_locally(ask, route_to("gemini", "openai"))
    assert answer is not None
    counted = {"object": "response.input_tokens", "input_tokens": 4}
    assert msgspec.json.decode(answer.body) == counted


def test_nothing_else_is_answered_here() -> None:
    """A message goes to its provider, whether that can count or not."""
    assert count_locally(ask_for("messages"), route_to("openai")) is None


def test_a_name_without_a_provider_has_no_count() -> None:
    """Where nothing can serve the name there is no route that could be asked."""
    with pytest.raises(NoHealthyProvider):
        route_to()
