"""
What an answer to a probe says, by its status and by what kind of body it is.

Nobody can be trusted here: a body may be a login page, cut off, or made up. Only names of models
are ever taken from it.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from proxy.domain.catalog import WILDCARD, Provider
from proxy.domain.health import HealthState, ProbeReading
from proxy.providers.kind import Kind

MAX_PROBE_BODY_BYTES = 256 * 1024
"""So much of a probe's answer is read."""
MAX_MODELS = 500
MAX_NAME_CHARACTERS = 200

_STATES: dict[int, HealthState] = {
    401: "key_rejected",
    402: "key_rejected",
    403: "key_rejected",
    407: "unhealthy",
    408: "unhealthy",
    429: "rate_limited",
}
_WORDS: dict[HealthState, str] = {
    "key_rejected": "refuses our key",
    "rate_limited": "answers that it is asked too often",
    "warming": "loads its model",
}
_NO_SUCH_PATH = (404, 405)
_ANSWERS = ("choices", "content")
"""What an answer stands in, of OpenAI's format and of Anthropic's."""


def find_probed_model(provider: Provider) -> str | None:
    """Return which model a probe by completion asks: the first listed one; None: none is."""
    return next((model for model in provider.models if model != WILDCARD), None)


def read_probe_answer(kind: Kind, provider: Provider, status: int, body: bytes) -> ProbeReading:
    """
    Return what an answer to a probe says.

    Args:
        kind: of the provider; its `health_states` say what it means differently from others.
        provider: the one that was asked, as it was asked.
        status: of the answer.
        body: of the answer, its first MAX_PROBE_BODY_BYTES.
    """
    if 200 <= status < 300:
        return _read_good(provider, body)
    state = kind.health_states.get(status) or _STATES.get(status)
    if state == "key_rejected" and provider.api_key is None:
        return ProbeReading("key_rejected", f"wants a key, and none is set (status {status})")
    if state in _WORDS:
        return ProbeReading(state, f"{_WORDS[state]} (status {status})")
    if state is not None:
        return ProbeReading(state, _tell(status))
    if status in _NO_SUCH_PATH and provider.probe.path is None:
        return ProbeReading("healthy", "answers, and has no list of models")
    if 400 <= status < 500 and status not in _NO_SUCH_PATH:
        return ProbeReading("healthy", f"answers ({_tell(status)})")
    # A redirect is never followed; it often leads to a login page that is in the way.
    return ProbeReading("unhealthy", _tell(status))


def _read_good(provider: Provider, body: bytes) -> ProbeReading:
    text = body.strip()
    is_completion = provider.probe.kind == "completion" and find_probed_model(provider) is not None
    if provider.probe.path is not None and not is_completion:
        # The operator's own choice: it may say `OK`, or nothing. A page it is not.
        if text.startswith(b"<"):
            return _not_json()
        return ProbeReading("healthy", "answers", _list_models(text))
    if len(body) >= MAX_PROBE_BODY_BYTES and text.startswith((b"{", b"[")):
        return ProbeReading("healthy", "answers; its list is too long to be read")
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _not_json()
    if isinstance(value, dict) and value.get("error"):
        return ProbeReading("unhealthy", "an error inside of its answer")
    if is_completion:
        if isinstance(value, dict) and any(type(value.get(name)) is list for name in _ANSWERS):
            return ProbeReading("healthy", "completes")
        return ProbeReading("unhealthy", "its answer is no completion")
    models = tuple(_pick_models(value))
    count = f"lists {len(models)} model{'s' if len(models) > 1 else ''}" if models else "answers"
    return ProbeReading("healthy", count, models)


def _not_json() -> ProbeReading:
    return ProbeReading("unhealthy", "its answer is not JSON; is something else at this address?")


def _tell(status: int) -> str:
    try:
        return f"status {status}, {HTTPStatus(status).phrase}"
    except ValueError:
        return f"status {status}"


def _list_models(text: bytes) -> tuple[str, ...]:
    try:
        return tuple(_pick_models(msgspec.json.decode(text)))
    except (msgspec.DecodeError, RecursionError):
        return ()


def _pick_models(value: Any) -> Iterator[str]:
    """Yield names out of `{"data": [{"id"}]}`, `{"models": [{"name"}]}` or a bare list."""
    items = value
    if isinstance(value, dict):
        items = value.get("data")
        if not isinstance(items, list):
            items = value.get("models")
    if not isinstance(items, list):
        return
    seen: set[str] = set()
    for item in items:
        name = item
        if isinstance(item, dict):
            name = item.get("id") or item.get("name")
        if not isinstance(name, str) or name in seen or not _is_name(name):
            continue
        seen.add(name)
        yield name
        if len(seen) >= MAX_MODELS:
            return


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME_CHARACTERS and text.isprintable() and text == text.strip()
