"""What a service of several processes knows about itself: every worker tells the same of it."""

from msgspec import Struct


class UptimeRecord(Struct, frozen=True):
    """
    What has been seen of the providers since the service started; times are epoch seconds.

    Up to `changed_at` there was a routable provider for `up_s` seconds in all; since then
    there is one, or there is none.
    """

    started_at: float
    changed_at: float
    up_s: float
    is_routable: bool


class ConfigStatus(Struct, frozen=True):
    """
    How the configuration stands.

    `last_error` is why the newest edit is not in force, in the words of `llm-proxy check`,
    None while what lies on disk is what is served. `needs_restart` names the changes that
    wait for a restart, such as `port: 8000 -> 8001`. `loaded_at` is epoch seconds.
    """

    generation: int
    loaded_at: float
    last_error: str | None = None
    last_error_at: float | None = None
    problem_count: int = 0
    needs_restart: tuple[str, ...] = ()


class ServiceStatus(Struct, frozen=True):
    """The whole service, as its supervisor tells every worker on each change."""

    config: ConfigStatus
    uptime: UptimeRecord
    workers: int = 1
    """How many there should be."""
    ready_workers: int = 0
    is_draining: bool = False
