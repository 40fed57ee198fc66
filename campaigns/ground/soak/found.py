"""What the campaign of soak has seen of the service."""

from msgspec import Struct, field

from campaigns.ground.soak.accounts import Numbers
from campaigns.ground.soak.log import LogCounts
from campaigns.ground.soak.plan import PROVIDERS
from campaigns.ground.soak.watch import Sample
from campaigns.programs.soak_upstream import Counts, PortCounts


class Rest(Struct, frozen=True):
    """What the service holds while nobody asks."""

    worker_descriptors: int
    supervisor_descriptors: int
    tasks: int


class Found(Struct):
    """What the campaign has seen, but for the requests themselves."""

    lasts_s: float
    is_half: bool
    """The rate is that of half load, and not one that was asked for."""
    wanted_per_s: float = 0.0
    per_s: float = 0.0
    """As it was in the end: what is due while this machine stands still is dropped."""
    took_s: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    busy_share: float = 0.0
    before: Rest | None = None
    left: list[str] = field(default_factory=list)
    """What was not as before when all had ended."""
    slots: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Numbers of the service that say that something went wrong."""
    numbers: Numbers = field(default_factory=Numbers)
    redis_errors: int = 0
    """No fault: Redis is waited for no longer than 50 ms, and nobody notices."""
    log: list[str] = field(default_factory=list)
    log_counts: LogCounts = field(default_factory=LogCounts)
    ending: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=lambda: Counts([PortCounts() for _ in PROVIDERS]))
