"""Something that has happened in the service, as those who listen to `/admin/events` get it."""

from typing import Literal

from msgspec import Struct

EventName = Literal["reload", "breaker", "provider", "end"]
"""
`reload`: a configuration was applied or refused. `breaker`, `provider`: one has changed its
state. `end`: this stream is over, and why.
"""


class Event(Struct, frozen=True):
    """One event; `at` is epoch seconds, `data` a JSON object that has it as `timestamp`."""

    name: EventName
    at: float
    data: bytes
