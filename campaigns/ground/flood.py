"""The real server before an upstream that floods: what campaigns about slow clients stand on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from campaigns.ground.upstream import running_upstream
from tests.end_to_end.served import KEY, ServedProxy, serving


@contextmanager
def serving_flood(folder: Path, models: int = 0, **config: Any) -> Iterator[ServedProxy]:
    """
    Serve the models `small` and `flood` by a provider that never pauses of its own will.

    Besides them so many more `models` are listed, which nobody asks for.
    """
    with running_upstream("flood_upstream") as port:
        provider = {
            "name": "up",
            "type": "openai_compatible",
            "base_url": f"http://127.0.0.1:{port}",
            "api_key": "sk-campaign-upstream-0123456789abcdef",
            "models": ["small", "flood", *(f"model-{n:0100d}" for n in range(models))],
        }
        whole: Mapping[str, Any] = {
            "host": "127.0.0.1",
            "api_keys": [KEY],
            "log_file": str(folder / "requests.log"),
            "providers": [provider],
            **config,
        }
        with serving(folder, whole) as served:
            yield served
