"""The product's version, in its one place: the build, `/health` and `--version` read it here."""

__version__ = "0.1.0"
