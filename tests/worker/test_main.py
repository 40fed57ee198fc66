"""A worker's process: what it takes of the system, and that it is nothing by itself."""

import resource
import subprocess
import sys
from pathlib import Path

from proxy.control.messages import Drain, Ready
from tests.promises.tree import ROOT
from tests.worker.workers import working

HEAVY = {"pydantic", "yaml", "typer", "watchfiles", "cryptography", "prometheus_client"}


async def test_it_takes_all_the_files_it_may_have(tmp_path: Path) -> None:
    """The soft limit of open files, which systems set low, does not bound its connections."""
    async with working(tmp_path) as worker:
        await worker.hear(Ready)
        soft, hard = resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard
        worker.link.send(Drain(1.0))
        assert await worker.wait_for_end() == 0


def test_it_loads_nothing_of_the_supervisor() -> None:
    """Neither what reads configurations nor what seals them is imported by a worker."""
    code = "import sys, proxy.worker.main; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert HEAVY & set(done.stdout.split()) == set()
