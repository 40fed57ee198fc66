"""instructor over OpenAI's and Anthropic's SDK, in its modes."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import anthropic
import instructor
import openai
from instructor.core import InstructorRetryException
from pydantic import BaseModel

if TYPE_CHECKING:
    from campaigns.programs.clients.run import Ground

PACKAGE = "instructor"
STORY = "sim-story@0tps,0ms"


class Book(BaseModel):
    title: str
    year: int
    authors: list[str]


class Weather(BaseModel):
    city: str


def build_client(at: "Ground", mode: instructor.Mode, key: str | None = None) -> Any:
    """Return instructor's client for the SDK that a mode belongs to."""
    if mode.name.startswith("ANTHROPIC"):
        claude = anthropic.Anthropic(base_url=at.url, api_key=key or at.key, max_retries=0)
        return instructor.from_anthropic(claude, mode=mode)
    sdk = openai.OpenAI(base_url=f"{at.url}/v1", api_key=key or at.key, max_retries=0)
    return instructor.from_openai(sdk, mode=mode)


def ask(at: "Ground", client: Any, model: str, wanted: Any = Book, **options: Any) -> Any:
    return client.chat.completions.create(
        model=model,
        response_model=wanted,
        messages=[{"role": "user", "content": at.text}],
        max_tokens=at.max_tokens,
        **{"max_retries": 0, **options},
    )


def one(mode: instructor.Mode, model: str, at: "Ground", place: str) -> None:
    book, answer = build_client(at, mode).chat.completions.create_with_completion(
        model=f"{place}/{model}",
        response_model=Book,
        messages=[{"role": "user", "content": at.text}],
        max_tokens=at.max_tokens,
        max_retries=0,
    )
    assert isinstance(book, Book), book
    assert answer.usage is not None


def several(mode: instructor.Mode, at: "Ground", place: str) -> None:
    client = build_client(at, mode)
    found = list(ask(at, client, f"{place}/sim-tools@2calls", Iterable[Weather | Book]))
    assert [type(item) for item in found] == [Weather, Book], found


def partly(mode: instructor.Mode, model: str, at: "Ground", place: str) -> None:
    client = build_client(at, mode)
    parts = list(
        client.chat.completions.create_partial(
            model=f"{place}/{model}",
            response_model=Book,
            messages=[{"role": "user", "content": at.text}],
            max_tokens=at.max_tokens,
            max_retries=0,
        )
    )
    Book.model_validate(parts[-1].model_dump())


def errors(mode: instructor.Mode, at: "Ground", place: str) -> None:
    for model, status in (("no-such-model", 404), ("sim-fault-u21-429-seconds", 429)):
        check_error(at, build_client(at, mode), f"{place}/{model}", status)
    check_error(at, build_client(at, mode, at.wrong_key), f"{place}/sim-echo", 401)


def check_error(at: "Ground", client: Any, model: str, status: int) -> None:
    try:
        ask(at, client, model)
    except InstructorRetryException as error:
        cause: Any = error.__cause__
        while cause is not None and not hasattr(cause, "status_code"):
            cause = cause.__cause__ or getattr(cause, "last_attempt", None)
            cause = cause.exception() if hasattr(cause, "exception") else cause
        assert cause is not None and cause.status_code == status, error
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        assert error.status_code == status, error
    else:
        raise AssertionError(f"no error for {model}")


def broken_stream(mode: instructor.Mode, at: "Ground", place: str) -> None:
    client = build_client(at, mode)
    try:
        list(
            client.chat.completions.create_partial(
                model=f"{place}/sim-fault-u7-reset-after-content",
                response_model=Book,
                messages=[{"role": "user", "content": at.text}],
                max_tokens=at.max_tokens,
                max_retries=0,
            )
        )
    except (openai.APIError, anthropic.APIError, InstructorRetryException):
        return
    raise AssertionError("it ended as if it were complete")


MODES: dict[instructor.Mode, str] = {
    instructor.Mode.TOOLS: "sim-tools",
    instructor.Mode.JSON_SCHEMA: STORY,
    instructor.Mode.ANTHROPIC_TOOLS: "sim-tools",
    instructor.Mode.RESPONSES_TOOLS: "sim-tools",
}
"""Each mode that the simulator can answer with what was asked for, and the model that does."""
CHECKS: dict[str, Callable[["Ground", str], None]] = {}
for _mode, _model in MODES.items():
    _name = _mode.name.lower().replace("_", " ")
    CHECKS[f"{_name}: one"] = partial(one, _mode, _model)
    CHECKS[f"{_name}: partly"] = partial(partly, _mode, _model)
    CHECKS[f"{_name}: errors"] = partial(errors, _mode)
    CHECKS[f"{_name}: broken stream"] = partial(broken_stream, _mode)
CHECKS["parallel tools: several"] = partial(several, instructor.Mode.PARALLEL_TOOLS)
CHECKS["anthropic parallel tools: several"] = partial(
    several, instructor.Mode.ANTHROPIC_PARALLEL_TOOLS
)
