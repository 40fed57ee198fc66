"""The settings of the process that checks providers."""

from pydantic import Field

from proxy.config.provider_schema import Section
from proxy.config.value_types import Listen


class HealthWorkerEntry(Section):
    """The process that checks providers."""

    enabled: bool = Field(
        default=True,
        description=(
            "false: this service starts none. With `redis_url` it never does: there the health "
            "worker is a service of its own."
        ),
    )
    listen: Listen | None = Field(
        default="127.0.0.1:8001",
        description="Where its own API is, as `host:port`; null is nowhere.",
    )
