"""Tests of the rounds and of who takes part in them."""

import shlex
import sys

from bench.cores import NOT_PINNED
from bench.load import LoadPlan
from bench.own_systems import Proxy
from bench.reverse_proxies import Nginx
from bench.rounds import Plan, choose_ready, run_rounds
from bench.rows import Row
from bench.systems import Direct
from bench.toolchain import Tools

ROW = Row("single", "1 client", LoadPlan(1, 0.1, 0.05))


class MissingNginx(Nginx):
    """nginx on a machine without nginx."""

    def find_obstacle(self) -> str | None:
        """Say so."""
        return "nginx is not installed"


def test_only_what_starts_takes_part_and_the_rest_says_why(tools: Tools) -> None:
    """A system that is missing or fails is described with its reason; the others go on."""
    failing = Proxy(shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))
    direct = Direct()
    plan = Plan([direct, MissingNginx(), failing], [ROW], 1)
    ready, infos = choose_ready(plan, tools, NOT_PINNED)
    assert ready == [direct]
    assert [info.skipped for info in infos] == [
        None,
        "nginx is not installed",
        "ended with status 3 before it was ready",
    ]


def test_rounds_are_interleaved(tools: Tools) -> None:
    """Every system is measured once before any is measured again."""
    first, second = Direct(), Direct()
    second.name = "second"
    plan = Plan([first, second], [ROW], 2)
    slots = run_rounds(plan.systems, plan, tools, NOT_PINNED)
    assert [(slot.system, slot.round) for slot in slots] == [
        ("direct", 1),
        ("second", 1),
        ("direct", 2),
        ("second", 2),
    ]
