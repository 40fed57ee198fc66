"""Stage: give the client an answer as it comes, once its head has shown that it is one."""

import re
import time
from collections.abc import Mapping

from proxy.domain.errors import UpstreamError, UpstreamProtocolError, UpstreamRejected
from proxy.domain.exchange import ResponseHead
from proxy.pipeline.base import PassingReply, PassingRequest
from proxy.pipeline.context import Attempt, Exchange
from proxy.pipeline.error_answer import Inlet, read_error
from proxy.pipeline.inflate import Inflater, check_encoding
from proxy.pipeline.passed_answer import PassedAnswer
from proxy.pipeline.passed_target import OF_ACCOUNTS, PROVIDER_HEADER
from proxy.pipeline.reply_head import STREAM_HEADERS, build_head
from proxy.upstream.base import OpenedResponse
from proxy.wire.passed_json import read_passed_json

CONTENT = "/content"
"""How the path of a file's own bytes ends: these are never looked at, whatever their type."""

_JSON = "application/json"
_EVENTS = "text/event-stream"
_ANY_TYPE = "application/octet-stream"
_TYPE = re.compile(
    r"[\w.+-]{1,100}/[\w.+-]{1,100}"
    r"(?:[ \t]*;[ \t]*[\w-]{1,50}=(?:\"[\w.+/ -]{0,100}\"|[\w.+-]{1,100})){0,3}",
    re.ASCII,
)
_DISPOSITION = re.compile(r"[ -~]{1,500}")
_GOOD_STATUSES = (200, 201, 202)


async def relay_passed(
    exchange: Exchange,
    request: PassingRequest,
    reply: PassingReply,
    attempt: Attempt,
    opened: OpenedResponse,
    inlet: Inlet,
) -> None:
    """
    Send an answer to the client; `opened` is paused, and closed by who has opened it.

    Raises:
        ProxyError: it is no success, or it broke. What of it has gone out ends in an error event
            of a stream, and of all else so that nobody can take it for whole.
    """
    head = opened.head
    if not 200 <= head.status < 300:
        raise _explain(request, head, await read_error(opened, inlet))
    media_type = head.media_type
    if media_type == "text/html":
        raise UpstreamProtocolError("The provider answered with a page of HTML.")
    # An error event must fit behind what has come of a stream: its length is no longer known.
    size_bytes = None if media_type == _EVENTS else _read_size(head)
    outlet: Inlet | Inflater = inlet
    encoding = check_encoding(head.headers.get("content-encoding") or "")
    if encoding:
        opened = outlet = inlet.target = Inflater(opened, encoding)
        size_bytes = None
    outlet.target = answer = PassedAnswer(
        opened,
        attempt.deployment.provider.clocks,
        exchange.snapshot.settings.max_passed_answer_bytes,
        spent_s=time.monotonic() - attempt.started_monotonic_s,
    )
    try:
        whole = None
        if media_type == _JSON and not request.rest.endswith(CONTENT):
            whole = await answer.hold()
        if whole is not None:
            exchange.usage = read_passed_json(whole)
        exchange.note_content(attempt, streams=False)
        exchange.status = head.status if head.status in _GOOD_STATUSES else 200
        headers = build_head(exchange, _build_kind(head))
        # Of an account no name was asked for, and nothing else tells which it was.
        headers.setdefault(PROVIDER_HEADER, attempt.deployment.provider.name)
        if whole is not None:
            await reply.send(exchange.status, headers, whole)
        else:
            if size_bytes is None:
                await reply.start(exchange.status, headers)
            else:
                await reply.start_sized(exchange.status, headers, size_bytes)
            await answer.deliver(reply)
            await reply.end()
    except (
        BaseException
    ):  # also of an answer that a stop cuts off nobody must think that it is whole
        if reply.is_open and media_type != _EVENTS:
            reply.break_off()
        raise
    finally:
        answer.close()


def _explain(request: PassingRequest, head: ResponseHead, error: UpstreamError) -> UpstreamError:
    """Return the error that a client gets: what it has named by an id is its own to mend."""
    if request.passed in OF_ACCOUNTS and request.rest and head.status == 404:
        return UpstreamRejected(404, "The provider has nothing with this id.", code="not_found")
    return error


def _read_size(head: ResponseHead) -> int | None:
    """Return how long a body will be; the transport sees to it that it is."""
    size = head.headers.get("content-length", "")
    is_told = size.isascii() and size.isdigit() and "transfer-encoding" not in head.headers
    return int(size) if is_told and len(size) < 16 else None


def _build_kind(head: ResponseHead) -> Mapping[str, str]:
    """Return what a client is told of the body: little, and in a spelling that hides nothing."""
    content_type = head.headers.get("content-type", "")
    kind = {
        "Content-Type": content_type if _TYPE.fullmatch(content_type) else _ANY_TYPE,
        # What a file says that it is, browsers are to believe, and to look for no page in it.
        "X-Content-Type-Options": "nosniff",
    }
    if head.media_type == _EVENTS:
        kind.update(STREAM_HEADERS)
    disposition = head.headers.get("content-disposition", "")
    if _DISPOSITION.fullmatch(disposition):
        kind["Content-Disposition"] = disposition
    return kind
