"""Tests of `proxy/domain/service.py`."""

import msgspec

from proxy.domain.service import ConfigStatus, ServiceStatus, UptimeRecord


def test_a_status_travels_to_workers_whole() -> None:
    """Every value of a service's status is the same after the way through bytes."""
    config = ConfigStatus(3, 1.5, "config.yaml:1:1: wrong: mend", 2.5, 1, ("port: 1 -> 2",))
    status = ServiceStatus(config, UptimeRecord(1.0, 2.0, 0.5, True), 4, 3, is_draining=True)
    sent = msgspec.msgpack.encode(status)
    assert msgspec.msgpack.decode(sent, type=ServiceStatus) == status
