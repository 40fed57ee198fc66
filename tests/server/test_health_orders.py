"""Orders for the health worker that go through the supervisor."""

from collections.abc import Mapping

import pytest

from proxy.domain.errors import ProxyError
from proxy.domain.service_errors import (
    HealthWorkerUnavailable,
    SupervisorRefused,
    SupervisorUnavailable,
)
from proxy.server.health_orders import DeskOrders


class OneAnswer:
    """A desk that gives one answer, or fails."""

    def __init__(self, answer: bytes | ProxyError) -> None:
        self._answer = answer
        self.asked: list[tuple[str, Mapping[str, object], str]] = []

    async def ask(self, what: str, arguments: Mapping[str, object], by: str) -> bytes:
        """Return the answer."""
        self.asked.append((what, arguments, by))
        if isinstance(self._answer, ProxyError):
            raise self._answer
        return self._answer


async def test_an_order_goes_to_the_supervisor_with_its_names() -> None:
    """What comes back is what the health worker says of it."""
    desk = OneAnswer(b'{"found": 2, "timestamp": 1.5}')
    assert await DeskOrders(desk).give("discover", ("a",), "me") == {"found": 2}
    assert desk.asked == [("discover", {"names": ["a"]}, "me")]


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b"null"])
async def test_an_answer_that_says_nothing_is_as_good(answer: bytes) -> None:
    """It is done; there is nothing more to tell."""
    assert await DeskOrders(OneAnswer(answer)).give("check", (), "me") == {}


@pytest.mark.parametrize(
    "error",
    [SupervisorRefused("switched off"), SupervisorUnavailable(), HealthWorkerUnavailable()],
)
async def test_whatever_is_in_the_way_there_is_no_health_worker(error: ProxyError) -> None:
    """Clients get one code for it, and the reason that was given."""
    with pytest.raises(HealthWorkerUnavailable) as caught:
        await DeskOrders(OneAnswer(error)).give("clear", (), "me")
    assert caught.value.status == 503
    assert ("switched off" in caught.value.message) == isinstance(error, SupervisorRefused)
