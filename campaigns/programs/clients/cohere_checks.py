"""Cohere's SDK with its old generate calls: the only ones that it can ask here by its own API."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cohere import Client
from cohere.core.api_error import ApiError

if TYPE_CHECKING:
    from campaigns.programs.clients.run import Ground

PACKAGE = "cohere"


def build_client(at: "Ground", key: str | None = None) -> Any:
    return Client(api_key=key or at.key, base_url=at.url, max_retries=0)


def text(at: "Ground", place: str) -> None:
    answer = build_client(at).generate(prompt=at.text, model=f"{place}/sim-echo", max_tokens=100)
    assert [one.text for one in answer.generations] == [at.text], answer
    units = answer.meta.billed_units
    assert units.input_tokens > 0 and units.output_tokens > 0, answer.meta


def stream(at: "Ground", place: str, model: str = "sim-echo") -> None:
    events = list(
        build_client(at).generate_stream(prompt=at.text, model=f"{place}/{model}", max_tokens=100)
    )
    pieces = [event.text for event in events if event.event_type == "text-generation"]
    assert "".join(pieces) == at.text, events
    assert events[-1].event_type == "stream-end" and events[-1].finish_reason == "COMPLETE"


def stream_after_signs_of_life(at: "Ground", place: str) -> None:
    stream(at.find_slow(), place, at.slow)


def errors(at: "Ground", place: str) -> None:
    wanted = [
        (f"{place}/no-such-model", 404, at.key),
        (f"{place}/sim-fault-u21-429-seconds", 429, at.key),
        (f"{place}/sim-echo", 401, at.wrong_key),
    ]
    for model, status, key in wanted:
        try:
            build_client(at, key).generate(prompt=at.text, model=model)
        except ApiError as error:
            assert error.status_code == status and error.body, error
        else:
            raise AssertionError(f"no error for {model}")


def broken_stream(at: "Ground", place: str) -> None:
    model = f"{place}/sim-fault-u7-reset-after-content"
    events = list(build_client(at).generate_stream(prompt=at.text, model=model))
    kinds = [event.event_type for event in events]
    assert kinds[-1] == "stream-error", kinds


CHECKS: dict[str, Callable[["Ground", str], None]] = {
    "generate: text": text,
    "generate: stream": stream,
    "generate: stream after signs of life": stream_after_signs_of_life,
    "generate: errors": errors,
    "generate: broken stream": broken_stream,
}
