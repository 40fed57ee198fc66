"""
Host names -> socket addresses, under a clock, one question at a time for each name.

The system's own `getaddrinfo` answers, in threads of our own: it cannot be interrupted, so a
name server that is silent keeps one thread for each name and nobody else waits for it. What
comes back is not trusted here: `guard.py` looks at every address when it is dialled.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable

from msgspec import Struct

from proxy.upstream.guard import is_localhost, is_number, parse_literal

LOOKUP_S = 2.0
"""How long a dial waits for a name's addresses."""
REUSE_S = 10.0
"""
How long an answer stands without a new question.

The system does not tell an answer's own span. Ten seconds spare a burst of dials all
questions but the first, and are far below the minute that providers' answers usually stand
for, so that a provider which moves is followed as fast as it expects.
"""
LAST_GOOD_S = 600.0
"""How long the last good answer is used while the name servers give none."""
MAX_LOOKUPS = 32
"""Threads that may be waiting for name servers at once."""
_ABANDONED_S = 30.0

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
AddressInfo = tuple[int, int, int, str, SocketAddress]
Lookup = Callable[[str], list[str]]
"""A name -> its addresses as text, best first; may block; raises OSError."""


class ResolutionFailed(OSError):
    """A name has no address."""


class NameServersSilent(ResolutionFailed):
    """Whether a name has an address could not be found out, or not in time."""


class NobodyAsked(ResolutionFailed):
    """This machine has no thread left in which name servers could be asked."""


class _Answer(Struct, frozen=True):
    """The addresses of a name, and when they were learnt."""

    addresses: list[str]
    learnt_at_s: float


class _Question(Struct, frozen=True, eq=False):
    """A lookup that is under way; `outcome` never holds an exception, only returns one."""

    began_at_s: float
    outcome: "asyncio.Future[list[str] | OSError]"


def look_up(host: str) -> list[str]:
    """
    Ask the system for a name's addresses, and wait for it.

    Raises:
        OSError: there are none, or the name servers did not say.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as error:
        raise ResolutionFailed("the name cannot be written in DNS") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Resolver:
    """Finds the addresses of all providers' hosts; used within one event loop."""

    def __init__(self, lookup: Lookup = look_up, now: Callable[[], float] = time.monotonic) -> None:
        self._look_up = lookup
        self._now = now
        self._answers: dict[str, _Answer] = {}
        self._questions: dict[str, _Question] = {}
        self._threads = 0

    async def resolve(self, host: str, port: int) -> list[AddressInfo]:
        """
        Return where to dial for a host, best first; addresses and `localhost` ask nobody.

        Raises:
            ResolutionFailed: nothing was found, or not in time, and nothing good is remembered;
                its class tells why.
        """
        if parse_literal(host) is not None:
            return [_build_info(host, port)]
        if is_number(host):
            raise ResolutionFailed("a number is not a name")
        if is_localhost(host):
            return [_build_info("127.0.0.1", port), _build_info("::1", port)]
        return [_build_info(address, port) for address in await self._find(host.lower())]

    async def _find(self, host: str) -> list[str]:
        now_s = self._now()
        answer = self._answers.get(host)
        if answer is not None and now_s - answer.learnt_at_s < REUSE_S:
            return answer.addresses
        question = self._questions.get(host)
        if question is None or now_s - question.began_at_s > _ABANDONED_S:
            question = self._ask(host, now_s)
        # Who comes late waits only for what is left: a silent name server costs LOOKUP_S once
        # for each question, not for each dial.
        left_s = max(question.began_at_s + LOOKUP_S - now_s, 0.0)
        done, _ = await asyncio.wait([question.outcome], timeout=left_s)
        outcome = question.outcome.result() if done else NameServersSilent("no answer in time")
        if not isinstance(outcome, OSError):
            return outcome
        answer = self._answers.get(host)
        if answer is not None and self._now() - answer.learnt_at_s < LAST_GOOD_S:
            return answer.addresses
        raise _describe(outcome) from outcome

    def _ask(self, host: str, now_s: float) -> _Question:
        loop = asyncio.get_running_loop()
        question = _Question(now_s, loop.create_future())
        if self._threads >= MAX_LOOKUPS:
            question.outcome.set_result(NameServersSilent("too many names are waited for"))
            return question

        def ask() -> None:
            outcome: list[str] | OSError
            try:
                outcome = self._look_up(host) or ResolutionFailed("no addresses")
            except OSError as error:
                outcome = error
            # The loop is closed: the process is ending, and nobody waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._take_outcome, host, question, outcome)

        # A daemon: a name server that never answers must not hold up the end of the process.
        thread = threading.Thread(target=ask, name="resolver", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system has no thread to give: nothing was asked, and nothing is counted.
            question.outcome.set_result(NobodyAsked("no thread could be started"))
            return question
        self._questions[host] = question
        self._threads += 1
        return question

    def _take_outcome(self, host: str, question: _Question, outcome: list[str] | OSError) -> None:
        self._threads -= 1
        if self._questions.get(host) is question:
            del self._questions[host]
        if not isinstance(outcome, OSError):
            self._answers[host] = _Answer(outcome, self._now())
        elif _is_denial(outcome):
            # The name servers do answer: what they said before holds no more.
            self._answers.pop(host, None)
        if not question.outcome.done():
            question.outcome.set_result(outcome)


def _is_denial(outcome: OSError) -> bool:
    """Tell whether the name servers said that there is no such name, rather than nothing."""
    return isinstance(outcome, socket.gaierror) and outcome.errno in (
        socket.EAI_NONAME,
        socket.EAI_NODATA,
    )


def _describe(outcome: OSError) -> ResolutionFailed:
    """Return what to raise for an outcome, which others may be raising as well."""
    if isinstance(outcome, ResolutionFailed):
        return type(outcome)(str(outcome))
    kind = ResolutionFailed if _is_denial(outcome) else NameServersSilent
    return kind(str(outcome))


def _build_info(address: str, port: int) -> AddressInfo:
    if ":" in address:
        place: SocketAddress = (address, port, 0, 0)
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
