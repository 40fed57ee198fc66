"""Which signals are for the supervisor alone."""

import signal

from proxy.control.group_signals import GROUP_SIGNALS


def test_what_ends_a_worker_by_itself_is_not_among_them() -> None:
    """SIGTERM, which ends a worker in good order, is heeded by each process."""
    assert signal.SIGTERM not in GROUP_SIGNALS
    assert signal.SIGINT in GROUP_SIGNALS
