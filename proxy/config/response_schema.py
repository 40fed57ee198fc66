"""The settings of what is kept of answers of the Responses API."""

from pydantic import Field

from proxy.config.provider_schema import Section
from proxy.config.value_types import Bytes, Seconds


class ResponseStoreEntry(Section):
    """What is kept of answers to `/v1/responses`, so that clients can go on from them."""

    ttl_s: Seconds = Field(
        default=3600.0,
        description="Seconds that an answer is kept for whom it was made, unless `store` is false.",
    )
    max_bytes: Bytes = Field(
        default=64 * 1024 * 1024,
        description="The memory of each worker for them; the oldest are forgotten first.",
    )
