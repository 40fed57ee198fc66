"""What a process says of a service that it is all of."""

import pytest

from proxy.domain.service_errors import SupervisorUnavailable
from proxy.server.state import StillDesk
from tests.fakes.proxy_server import build_status


async def test_without_a_supervisor_nobody_answers() -> None:
    """What only a supervisor can do is refused at once, and the status stays as it was given."""
    status = build_status()
    desk = StillDesk(status)
    with pytest.raises(SupervisorUnavailable):
        await desk.ask("reload", {}, "a test")
    assert desk.status is status
