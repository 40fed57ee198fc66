"""What clients are told of their rate limit: OpenAI's `x-ratelimit-*` headers."""

from math import ceil


def build_rate_headers(
    limit_requests: int, remaining_requests: int, reset_s: float
) -> dict[str, str]:
    """
    Return the headers of every answer to a key that is limited.

    Args:
        limit_requests: how many may be sent at once.
        remaining_requests: how many of them are left.
        reset_s: seconds until all of them are back.

    Source: OpenAI's guide to rate limits, "Rate limits in headers".
    """
    return {
        "x-ratelimit-limit-requests": str(limit_requests),
        "x-ratelimit-remaining-requests": str(remaining_requests),
        "x-ratelimit-reset-requests": build_duration(reset_s),
    }


def build_duration(seconds: float) -> str:
    """
    Return a span of time as OpenAI writes it: `120ms`, `1s`, `6m0s`, `1h0m0s`.

    Args:
        seconds: 0 or more; rounded up, so that nobody comes too early.

    Source: OpenAI's guide to rate limits, "Rate limits in headers".
    """
    # Up to a thousandth of a millisecond is what rounding adds to a whole number.
    milliseconds = ceil(seconds * 1000.0 - 1e-3)
    if milliseconds < 1000:
        return f"{max(0, milliseconds)}ms"
    minutes, whole_seconds = divmod(ceil(seconds - 1e-6), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{whole_seconds}s"
    return f"{minutes}m{whole_seconds}s" if minutes else f"{whole_seconds}s"
