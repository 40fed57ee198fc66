"""The configuration and the requests of campaigns that stand on `programs/paced_upstream.py`."""

from pathlib import Path

from msgspec import Struct

from campaigns.ground.client import Answer, build_chat_request
from campaigns.ground.load import Kind
from campaigns.programs.paced_upstream import PACED
from tests.end_to_end.served import KEY

EVENTS, PAUSE_MS = 20, 200
SLOW = f"{PACED}-{EVENTS}-{PAUSE_MS}"
"""The model of the streams that are held open: four seconds each."""
LONG_EVENTS = 150
LONG = f"{PACED}-{LONG_EVENTS}-{PAUSE_MS}"
"""Half a minute: longer than a drain waits."""
SPARES = 8
PROVIDERS = SPARES + 2
MARKER = "end_of_config: true\n"
UPSTREAM_KEY = "sk-campaign-upstream-0123456789abcdef"
_END = b"data: [DONE]\n\n"


class Ground(Struct, frozen=True):
    """What every version of a configuration has in common."""

    port: int
    upstream_port: int
    folder: Path
    drain_timeout_s: float = 10.0

    @property
    def config(self) -> Path:
        """The file that is edited, in a directory where nothing else happens."""
        path = self.folder / "etc" / "config.yaml"
        path.parent.mkdir(exist_ok=True)
        return path

    def build(self, version: int, *, has_marker: bool = True) -> str:
        """
        Return the text of one version.

        Each asks another model for the alias `live`, and has `slow` answered by the other of
        two providers; now and then the one that has just lost it is gone altogether, with
        streams under way.
        """
        mine, other = ("one", "two") if version % 2 else ("two", "one")
        names = ["one", "two"] if version % 4 in (0, 3) else [mine]
        text = f"""\
# Version {version}
host: "127.0.0.1"
port: {self.port}
workers: 2
drain_timeout: {self.drain_timeout_s:g}
log_file: "{self.folder / "requests.log"}"
api_keys:
  - "{KEY}"
routes:
  - alias: live
    targets:
      - {{provider: {mine}, model: "{build_model(version)}"}}
  - alias: slow
    targets:
      - {{provider: {mine}, model: "{SLOW}"}}
providers:
"""
        for name in sorted(names, key=[mine, other].index):
            models = [SLOW, LONG] + ([build_model(version)] if name == mine else [])
            text += self._build_provider(name, models)
        for number in range(PROVIDERS - len(names)):
            models = [f"spare-{number}-{kind}" for kind in ("small", "medium", "large")]
            text += self._build_provider(f"spare-{number}", models)
        return text + (MARKER if has_marker else "")

    def _build_provider(self, name: str, models: list[str]) -> str:
        # The list comes last and has no quotes: most of what is cut off behind it can be read.
        return f"""\
  - name: {name}
    type: openai_compatible
    api_key: "{UPSTREAM_KEY}"
    base_url: http://127.0.0.1:{self.upstream_port}
    models:
""" + "".join(f"      - {model}\n" for model in models)


def build_model(version: int) -> str:
    """Return the model that only this version knows."""
    return f"version-{version}"


def read_version(name: str) -> int | None:
    """Return the version that a model's name tells, None if it tells none."""
    kind, _, number = name.partition("-")
    return int(number) if kind == "version" and number.isdecimal() else None


def judge_stream(answer: Answer) -> str | None:
    """Return what is wrong with a stream that should be whole."""
    if answer.status != 200:
        return f"status {answer.status}: {answer.body[:200]!r}"
    count = answer.body.count(b"data: ")
    if count != EVENTS + 2 or not answer.body.endswith(_END):
        return f"a stream of {count} events ends so: {answer.body[-200:]!r}"
    return None


SLOW_STREAMS = Kind(build_chat_request("slow"), lambda: judge_stream)
