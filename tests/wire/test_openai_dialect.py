"""Tests of `proxy/wire/openai_dialect.py`: one dialect for three operations."""

import json

import pytest
from msgspec import Raw

from proxy.domain.errors import NotOffered, UpstreamServerError
from proxy.domain.exchange import Operation
from proxy.wire.base import Ask
from proxy.wire.openai_dialect import OpenAIDialect
from tests.wire.answers import TEXT, values

DIALECT = OpenAIDialect()


@pytest.mark.parametrize(
    ("operation", "body", "kind", "whole"),
    [
        (
            "chat",
            {"messages": [{"role": "user", "content": "hi"}]},
            "chat.completion.chunk",
            "chat.completion",
        ),
        ("completions", {"prompt": "hi"}, "text_completion", "text_completion"),
    ],
)
def test_chats_and_completions_are_read_and_written(
    operation: Operation, body: dict[str, object], kind: str, whole: str
) -> None:
    """Each operation's request becomes a chat, and an answer the operation's own objects."""
    ask = DIALECT.parse_ask(operation, json.dumps({"model": "m", **body}).encode(), {})
    (message,) = DIALECT.read_chat(ask).messages
    assert message.role == "user"
    writer = DIALECT.open_writer(ask)
    stream = writer.write(TEXT) + writer.finish()
    assert {value["object"] for value in values(stream)} == {kind}
    assert json.loads(DIALECT.write_answer(ask, TEXT))["object"] == whole


def test_vectors_are_no_chat() -> None:
    """Embeddings are neither read nor written for providers of another format."""
    ask = Ask("embeddings", "m", {"input": Raw(b'"hi"')})
    for serve in (
        lambda: DIALECT.read_chat(ask),
        lambda: DIALECT.open_writer(ask),
        lambda: DIALECT.write_answer(ask, TEXT),
    ):
        with pytest.raises(NotOffered) as refusal:
            serve()
        assert refusal.value.code == "unsupported_operation"


def test_errors_are_in_openais_shape() -> None:
    """A body and an event hold the same object."""
    error = UpstreamServerError()
    body = DIALECT.build_error_body(error, "req-1")
    assert json.loads(body)["error"]["code"] == "upstream_server_error"
    assert DIALECT.build_error_event(error, "req-1") == b"data: " + body + b"\n\n"
