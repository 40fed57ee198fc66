"""
What the campaign of soak asks for, and what the answer to each request must be.

The prompt says how the provider is to answer, `soak:KIND:TROUBLE:tag-00000001`, so that its
client and the provider, two processes, know the same. Pure.
"""

import json
import re

from msgspec import Struct

from tests.end_to_end.served import KEY

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
ENDPOINTS = ("/chat/completions", "/embeddings")
"""The same, as logs and metrics name them."""
MODEL = "soaked"
PROVIDERS = ("first", "second", "first-tls", "second-tls")
"""By turns of one transport and of the other; as many as the program of the providers has ports."""
OTHER_ONE = {
    "first": "second",
    "second": "first",
    "first-tls": "second-tls",
    "second-tls": "first-tls",
}
HELD = "held"
"""The kind that is answered when the campaign says so."""
CRLF2 = b"\r\n\r\n"
_END = b"0" + CRLF2
_find_order = re.compile(rb"soak:([a-z]+):([a-z]+):(tag-[0-9]{8})").search


class Kind(Struct, frozen=True):
    """One kind of request; `share` is its part of all, `pause_s` goes by before each piece."""

    share: float
    path: str = CHAT
    events: int = 0
    """Of content, in a stream; 0 is an answer as a whole."""
    pause_s: float = 0.0
    asked_bytes: int = 0
    answer_bytes: int = 0


KINDS = {
    "stream": Kind(0.40, events=16, pause_s=0.025),
    "long": Kind(0.02, events=100, pause_s=0.05),
    "whole": Kind(0.36, pause_s=0.005),
    "embedding": Kind(0.15, path=EMBEDDINGS, pause_s=0.002, answer_bytes=12_000),
    "upload": Kind(0.035, pause_s=0.005, asked_bytes=200_000),
    "download": Kind(0.035, pause_s=0.005, answer_bytes=256_000),
    HELD: Kind(0.0),
}

TROUBLES = {"none": 0.96, "hasty": 0.03, "reset": 0.003, "cut": 0.003, "busy": 0.004}
"""
What the provider does to a request, with its share. `hasty` answers, and closes the connection
without having said so, at once or when the next request may be under way. The others answer
nothing or 503, the first time that a tag is asked for: the next attempt gets the answer.
"""
FAILING = frozenset({"reset", "cut", "busy"})
LEAVING = "leaving"
"""What stands there instead if the client leaves: nothing is done to it, and it counts apart."""

BUSY_BODY = b'{"error":{"message":"busy","type":"server_error","param":null,"code":"busy"}}'
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d" % len(BUSY_BODY) + CRLF2 + BUSY_BODY
)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked" + CRLF2
)


class Order(Struct, frozen=True):
    """What is asked for, as the prompt says it."""

    kind: str
    trouble: str
    tag: str

    @property
    def text(self) -> str:
        """What the prompt begins with."""
        return f"soak:{self.kind}:{self.trouble}:{self.tag}"


def choose_alias(provider: str, trouble: str) -> str:
    """
    Return the name to ask for, so that a provider gets the request.

    Only what its provider is told to fail has another one to go to. What must not fail has not,
    so that an attempt that fails by itself is an error of its client.
    """
    if trouble in FAILING:
        return provider
    return f"leaving-{provider}" if trouble == LEAVING else f"only-{provider}"


def read_order(body: bytes) -> Order | None:
    """Return the order in a request's body, None if there is none."""
    found = _find_order(body)
    return None if found is None else Order(*(part.decode() for part in found.groups()))


def build_request(order: Order, alias: str, *, closes: bool = False) -> bytes:
    """Return a request as bytes; `closes` has it end its connection."""
    kind = KINDS[order.kind]
    text = order.text + " word" * (kind.asked_bytes // 5)
    if kind.path == EMBEDDINGS:
        body = json.dumps({"model": alias, "input": text}).encode()
    else:
        streams = {"stream": True} if kind.events else {}
        messages = [{"role": "user", "content": text}]
        body = json.dumps({"model": alias, **streams, "messages": messages}).encode()
    head = (
        f"POST {kind.path} HTTP/1.1\r\nHost: campaign\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        + ("Connection: close\r\n" if closes else "")
    )
    return head.encode() + b"\r\n" + body


def build_whole(order: Order) -> bytes:
    """Return the provider's answer as a whole."""
    kind = KINDS[order.kind]
    if kind.path == EMBEDDINGS:
        vector = b"0.0123456789," * (kind.answer_bytes // 13) + b"0.5"
        body = (
            b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[%b]}],'
            b'"model":"%b","usage":{"prompt_tokens":9,"total_tokens":9}}'
        ) % (vector, order.tag.encode())
    else:
        content = order.tag + " word" * (kind.answer_bytes // 5)
        body = (
            b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"soaked",'
            b'"choices":[{"index":0,"message":{"role":"assistant","content":"%b"},'
            b'"finish_reason":"stop"}],'
            b'"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}'
        ) % content.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d" % len(body)
    return head + CRLF2 + body


def build_event(order: Order) -> bytes:
    """Return one event with content, as a chunk; all of a stream are alike."""
    return _build_chunk(
        b'"choices":[{"index":0,"delta":{"content":"%b word "},"finish_reason":null}]'
        % order.tag.encode()
    )


def build_stream_end() -> bytes:
    """Return the chunks that end a stream: the reason, the usage that was asked for, `[DONE]`."""
    done = b"data: [DONE]\n\n"
    return (
        _build_chunk(b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]')
        + _build_chunk(
            b'"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}'
        )
        + b"%x\r\n%b\r\n" % (len(done), done)
        + _END
    )


def judge(order: Order, status: int, body: bytes) -> str | None:
    """Return what is wrong with the answer that a client has got, None if it is its own, whole."""
    if status != 200:
        return f"status {status}: {body[:200]!r}"
    kind = KINDS[order.kind]
    tags = (body.count(b"tag-"), body.count(order.tag.encode()))
    wanted = kind.events or 1
    if tags != (wanted, wanted):
        return f"{tags[1]} of {wanted} own tags, {tags[0] - tags[1]} of others: {body[-200:]!r}"
    if kind.events and (
        body.count(b"data: ") != kind.events + 2 or not body.endswith(b"data: [DONE]\n\n")
    ):
        return f"a stream that ends so: {body[-200:]!r}"
    if not kind.events and body != build_whole(order).partition(CRLF2)[2]:
        return f"{len(body)} other bytes than the provider's, which end so: {body[-50:]!r}"
    return None


def _build_chunk(fields: bytes) -> bytes:
    event = (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,'
        b'"model":"soaked",%b}\n\n' % fields
    )
    return b"%x\r\n%b\r\n" % (len(event), event)
