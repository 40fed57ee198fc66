"""What the campaign of soak has seen of the service."""

from msgspec import Struct, field

from campaigns.ground.soak.watch import Sample
from campaigns.programs.soak_upstream import Counts


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
    attempts: dict[str, int] = field(default_factory=dict)
    """By provider."""
    before: Rest | None = None
    left: list[str] = field(default_factory=list)
    """What was not as before when all had ended."""
    slots: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    """Numbers of the service that say that something went wrong."""
    redis_errors: int = 0
    """No fault: Redis is waited for no longer than 50 ms, and nobody notices."""
    log: list[str] = field(default_factory=list)
    log_lines: int = 0
    """Of requests."""
    ending: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=lambda: Counts([], [], []))
