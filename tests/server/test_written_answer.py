"""What aiohttp is handed for an answer that has been written already."""

import pytest
from aiohttp.test_utils import make_mocked_request

from proxy.server.written_answer import REASONS, WrittenResponse


@pytest.mark.parametrize("keeps_alive", [True, False])
async def test_nothing_is_written_again(keeps_alive: bool) -> None:
    """It counts as sent, and tells whether the connection goes on."""
    response = WrittenResponse(keeps_alive)
    assert response.prepared
    assert response.keep_alive is keeps_alive
    assert await response.prepare(make_mocked_request("GET", "/")) is None
    await response.write_eof()


def test_every_status_has_its_words() -> None:
    """A status line names what a status means."""
    assert REASONS[431] == "Request Header Fields Too Large"
