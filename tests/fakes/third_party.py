"""A package that somebody else has written, as pip would lay it out, with an entry point."""

from pathlib import Path

KIND = """\
from proxy.providers.kind import Kind

ACME = Kind(
    type="acme",
    title="Acme AI",
    base_url="https://api.acme.example/v1",
    key_variables=("ACME_API_KEY",),
    operations={"chat": "/chat/completions"},
    renames={"max_completion_tokens": "max_tokens"},
    quirk="regular",
)
"""
"""The module of a provider that speaks OpenAI's format: a row."""
OWN_TYPE = (
    KIND
    + """
from msgspec.structs import replace
from proxy.providers.openai_format import OpenAIFormat


class Acme(OpenAIFormat):
    kind = ACME

    def build_request(self, ask, deployment, trace_headers):
        request = super().build_request(ask, deployment, trace_headers)
        return replace(request, headers={**request.headers, "X-Acme": "1"})


acme = Acme(ACME)
"""
)
"""The module of one with an implementation of its own."""


def install_package(
    site: Path, source: str, target: str = "ACME", *, type_name: str = "acme", name: str = "acme-ai"
) -> None:
    """
    Lay a package out in a directory that is, or will be, on `sys.path`.

    Args:
        site: the directory.
        source: of its one module.
        target: the name in it that the entry point leads to.
        type_name: the name of the entry point.
        name: of the package.
    """
    module = f"{name.replace('-', '_')}_module"
    (site / f"{module}.py").write_text(source)
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = f"[llm_proxy.providers]\n{type_name} = {module}:{target}\n"
    (info / "entry_points.txt").write_text(lines)
