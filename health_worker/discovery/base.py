"""The interface to whatever is searched for providers; `factory.py` opens what settings name."""

from typing import Protocol

from msgspec import Struct

from health_worker.discovery.candidate import Found
from proxy.domain.discovery import SourceName


class SourceFailed(Exception):
    """
    A search has failed, which says nothing of the providers: what it found before goes on.

    Its text holds no address, no token and nothing of what came.
    """


class SourceStatus(Struct, frozen=True):
    """How one source stands; times are epoch seconds, None: it has never answered yet."""

    name: SourceName
    found: int
    answered_at: float | None = None
    problem: str | None = None


class Source(Protocol):
    """One place where providers are found."""

    name: SourceName
    waits_itself: bool
    """`next` returns when something has changed; else whoever calls it waits between two calls."""

    async def next(self) -> Found:
        """
        Return all that there is: at once when it is called first, then anew.

        Never called while it is under way; being cancelled leaves it fit for another call.

        Raises:
            SourceFailed: there was no answer, or none that can be read.
        """

    async def find(self) -> Found:
        """
        Return all that there is now, asked anew; may be called while `next` is under way.

        Raises:
            SourceFailed: as `next`.
        """

    async def close(self) -> None:
        """Close every connection."""
