"""Reads the unit files as a reader does: sections, settings, and the comment above each."""

from pathlib import Path

from msgspec import Struct

from tests.promises.tree import ROOT

UNIT_DIR = ROOT / "systemd-services"
SERVICES = ("llm-proxy.service", "llm-health-worker.service")
UNITS = (*SERVICES, "llm-proxy.socket")


class Setting(Struct, frozen=True):
    """One line `name=value`, and whether a comment stands above it or its group."""

    section: str
    name: str
    value: str
    line: int
    is_argued: bool


def read_settings(path: Path) -> list[Setting]:
    """
    Return the settings of a unit file in order.

    A group, settings without an empty line between them, is argued by the comment it begins with.
    """
    settings, section, is_argued = [], "", False
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        if not text:
            is_argued = False
        elif text.startswith("#"):
            is_argued = True
        elif text.startswith("["):
            section, is_argued = text.strip("[]"), False
        else:
            name, _, value = text.partition("=")
            settings.append(Setting(section, name, value, number, is_argued))
    return settings


def read_values(unit: str, name: str) -> list[str]:
    """Return every value that a unit gives to a setting."""
    return [s.value for s in read_settings(UNIT_DIR / unit) if s.name == name]
