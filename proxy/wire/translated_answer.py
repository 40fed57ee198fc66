"""A provider's whole answer in one dialect, for a client of another."""

from collections.abc import Sequence

from proxy.domain.errors import UpstreamTruncated
from proxy.domain.events import (
    CallArguments,
    Counted,
    Event,
    Finished,
    Refused,
    Said,
    Started,
    Thinking,
)
from proxy.domain.exchange import Anomaly
from proxy.domain.usage import Usage
from proxy.wire.base import Ask, CheckedAnswer
from proxy.wire.dialects import find_dialect
from proxy.wire.kept_reasoning import gather
from proxy.wire.openai_said import count_bytes
from proxy.wire.usage_estimate import estimate_usage


def translate_answer(
    ask: Ask,
    events: Sequence[Event],
    anomalies: tuple[Anomaly, ...] = (),
    *,
    as_stream: bool = False,
) -> CheckedAnswer:
    """
    Return the client's answer to `ask` from all the events of a provider's.

    Args:
        ask: what was asked; its operation says which dialect the client speaks.
        events: all of them, in the order of `domain/events.py`.
        anomalies: what was odd about the provider's answer.
        as_stream: the client gets it as the stream that it asked for, complete with its end.

    Raises:
        UpstreamTruncated: a choice that was asked for, or one that began, has no end.

    Source: tests/wire/test_translated_answer.py.
    """
    finished = {event.choice for event in events if isinstance(event, Finished)}
    begun = {event.choice for event in events if not isinstance(event, Started | Counted)}
    if len(finished) < ask.choices or begun - finished:
        raise UpstreamTruncated()
    ask.kept += gather(events)
    usage = _find_usage(events)
    if usage is None:
        usage = estimate_usage(ask, _count_said(events))
        events = (*events, Counted(usage))
    dialect = find_dialect(ask.operation)
    if as_stream:
        writer = dialect.open_writer(ask)
        return CheckedAnswer(writer.write(events) + writer.finish(), usage, anomalies)
    return CheckedAnswer(dialect.write_answer(ask, events), usage, anomalies)


def _find_usage(events: Sequence[Event]) -> Usage | None:
    found = None
    for event in events:
        if isinstance(event, Counted):
            found = event.usage
    return found


def _count_said(events: Sequence[Event]) -> int:
    return sum(
        count_bytes(event.text)
        for event in events
        if isinstance(event, Said | Thinking | Refused | CallArguments)
    )
