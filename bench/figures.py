"""
The figures that the benchmark reports: their names, units and which way is better.

How they are measured is in `rows.py`, what they should be in `budgets.py`.
"""

from typing import Literal

from msgspec import Struct


class Figure(Struct, frozen=True):
    """One line of the result table."""

    name: str
    title: str
    unit: str
    digits: int
    better: Literal["less", "more", "neither"]

    def format(self, value: float) -> str:
        """Return `value` as the tables print it, without the unit."""
        return f"{value:,.{self.digits}f}"


FIGURES: tuple[Figure, ...] = (
    Figure("p50_ms", "p50, JSON, 1 client", "ms", 3, "less"),
    Figure("requests_per_s", "requests, JSON, 64 clients", "1/s", 0, "more"),
    Figure("p99_ms", "p99, JSON, 64 clients", "ms", 2, "less"),
    Figure("cpu_us_per_request", "CPU per request, 64 clients", "us", 1, "less"),
    Figure("busy_kernel_share", "of which kernel, 64 clients", "%", 0, "neither"),
    Figure("cpu_us_per_chunk", "CPU per paced chunk, 64 streams", "us", 1, "less"),
    Figure("paced_kernel_share", "of which kernel, 64 streams", "%", 0, "neither"),
    Figure("ttft_ms", "TTFT p50, 1 stream", "ms", 3, "less"),
    Figure("chunks_per_s", "chunks, 1000 streams (100,000 offered)", "1/s", 0, "more"),
    Figure("wide_cpu_us_per_chunk", "CPU per chunk, 1000 streams", "us", 1, "less"),
    Figure("wide_kernel_share", "of which kernel, 1000 streams", "%", 0, "neither"),
    Figure("large_requests_per_s", "requests of 32 KB, JSON, 64 clients", "1/s", 0, "more"),
    Figure("large_cpu_us_per_request", "CPU per request of 32 KB, 64 clients", "us", 1, "less"),
    Figure("tls_requests_per_s", "requests, upstream behind TLS, 64 clients", "1/s", 0, "more"),
    Figure("tls_cpu_us_per_request", "CPU per request, upstream behind TLS", "us", 1, "less"),
    Figure("tls_cpu_us_per_chunk", "CPU per paced chunk, upstream behind TLS", "us", 1, "less"),
    Figure("messages_cpu_us_per_chunk", "CPU per chunk, messages, not translated", "us", 1, "less"),
    Figure(
        "chat_anthropic_cpu_us_per_chunk", "CPU per chunk, chat over Anthropic", "us", 1, "less"
    ),
    Figure(
        "messages_openai_cpu_us_per_chunk", "CPU per chunk, messages over OpenAI", "us", 1, "less"
    ),
    Figure("chat_gemini_cpu_us_per_chunk", "CPU per chunk, chat over Gemini", "us", 1, "less"),
    Figure("rss_idle_mb", "RSS idle, worker", "MB", 1, "less"),
    Figure("rss_busy_mb", "RSS peak with 1000 streams, worker", "MB", 1, "less"),
    Figure("rss_tree_mb", "RSS peak with 1000 streams, all processes", "MB", 1, "less"),
    Figure("rss_supervisor_mb", "RSS idle, supervisor", "MB", 1, "less"),
    Figure("start_s", "start to the first answer", "s", 3, "less"),
    Figure("start_cold_s", "start to the first answer, nothing compiled", "s", 3, "less"),
    Figure("reload_slowest_ms", "slowest request, 10,000 models reloaded", "ms", 2, "less"),
    Figure("reload_added_ms", "slowest request, added by reloads", "ms", 2, "less"),
    Figure("reload_s", "from an edit of 10,000 models to its force", "s", 2, "less"),
    Figure("reload_growth_mb", "RSS growth by reloads, worker", "MB", 1, "less"),
    Figure("rss_large_mb", "RSS with 10,000 models, worker", "MB", 1, "less"),
    Figure("rss_large_supervisor_mb", "RSS with 10,000 models, supervisor", "MB", 1, "less"),
    Figure("cut_share_none", "10 % cut off: answered, `max_retries: 0`", "%", 1, "more"),
    Figure("cut_share", "10 % cut off: answered, default", "%", 1, "more"),
    Figure("cut_added_p50_ms", "10 % cut off: p50, added by repeating", "ms", 2, "less"),
    Figure("cut_repeated_ms", "10 % cut off: p50 of what was repeated", "ms", 2, "less"),
    Figure("limited_share_none", "5 % get 429: answered, `max_retries: 0`", "%", 1, "more"),
    Figure("limited_share", "5 % get 429: answered, default", "%", 1, "more"),
    Figure("limited_added_p50_ms", "5 % get 429: p50, added by repeating", "ms", 2, "less"),
    Figure("limited_repeated_ms", "5 % get 429: p50 of what was repeated", "ms", 2, "less"),
)
