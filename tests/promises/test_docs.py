"""Promises about the documents: they name what there is and nothing else; their links lead on."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.core
import typer.main

from health_worker.command import app as health_worker
from proxy.cli.main import app as command_line
from proxy.domain.errors import ProxyError, UpstreamError
from proxy.server.app import build_app
from proxy.server.state import ServerState, StillDesk
from tests.fakes.proxy_server import (
    build_runtime,
    build_status,
)
from tests.promises.markdown import (
    read_anchors,
    read_blocks,
    read_code_words,
    read_first_cells,
    read_links,
    read_sections,
)
from tests.promises.tree import ROOT, listed, project_files, python_files, shown

DECISIONS = ROOT / "docs" / "decisions"
MAX_DECISION_LINES = 60
DECISION_HEADINGS = ["Context", "Decision", "Consequences", "Rejected"]

# Pages that a command writes: a link to them is good before it has been run.
WRITTEN_BY_COMMANDS = {"bench/results/latest.md": "make bench"}
# Where words in backquotes that look like files must be files of the project.
NAMING_FILES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "proxy/pipeline/README.md")

_COMMAND = re.compile(r"llm-proxy ((?:[a-z-]+ ?)*[a-z])")
_HEADER = re.compile(r"x-llm-proxy-[a-z-]+")
_FILE = re.compile(r"[\w./-]+\.(?:py|md|json|toml)")
_MEMBER = re.compile(r"([A-Z]\w+)\.([a-z_]\w*)(?:\(\))?")
_FUNCTION = re.compile(r"([a-z_]\w*)\(\)")
_UPSTREAM_CODE = re.compile(r'"(upstream_\w+)"')
# What attempts are counted under in metrics; no client reads it.
_OUTCOMES_ONLY = {"upstream_rejected"}


def read_page(name: str) -> str:
    """Return the text of a document."""
    return (ROOT / name).read_text()


def test_the_readme_lists_every_endpoint_and_no_other() -> None:
    """README's table of endpoints is what the application's router holds."""
    state = ServerState(
        runtime=build_runtime(),
        desk=StillDesk(build_status()),
        render_metrics=lambda: (b"", "text/plain"),
    )
    served = set()
    for route in build_app(state).routes.all:
        # GET answers HEAD as well, browsers ask OPTIONS, and what else is below /admin is denied.
        if route.pattern not in ("/admin", "/admin/{path}"):
            methods = route.handlers.keys() - {"HEAD", "OPTIONS"}
            served |= {f"`{method} {route.pattern}`" for method in methods}
    documented = set(read_first_cells(read_sections(read_page("README.md"))["Endpoints"]))
    documented = {cell for cell in documented if cell.startswith(("`GET", "`POST", "`DELETE"))}
    without_v1 = {cell.replace(" /v1/", " /") for cell in documented}
    # Of what Azure's clients ask the same under their own prefix has no row of its own.
    of_azure = {
        cell.replace(" /v1/", f" {prefix}/")
        for cell in documented
        for prefix in ("/openai/v1", "/openai")
    }
    assert documented | without_v1 | (of_azure & served) == served


def test_the_commands_page_has_every_command_with_its_options() -> None:
    """docs/commands.md has a section for each command, whose table names exactly its options."""
    group = typer.main.get_command(command_line)
    assert isinstance(group, typer.core.TyperGroup)
    commands = dict(_flatten(group))
    commands["llm-health-worker"] = typer.main.get_command(health_worker)
    sections = read_sections(read_page("docs/commands.md"))
    by_name = {(_COMMAND.findall(title) or [title.strip("`")])[0]: title for title in sections}
    assert by_name.keys() == commands.keys()
    for name, command in commands.items():
        options = {o for p in command.params for o in p.opts if o.startswith("-")} - {"--help"}
        cells = " ".join(read_first_cells(sections[by_name[name]]))
        documented = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", cells))
        assert options == documented, name


def _flatten(group: typer.core.TyperGroup, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the commands with the words that they are called by, also those of groups in it."""
    for name, command in group.commands.items():
        if isinstance(command, typer.core.TyperGroup):
            yield from _flatten(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def test_global_options_are_documented() -> None:
    """The options that stand before a command are on the commands' page."""
    group = typer.main.get_command(command_line)
    options = {option for parameter in group.params for option in parameter.opts}
    words = " ".join(read_code_words(read_page("docs/commands.md")))
    assert options - {"--help"} <= set(words.split())


def test_every_make_target_is_documented() -> None:
    """CONTRIBUTING.md names each target that `make help` lists."""
    targets = re.findall(r"^([a-z]+):.*## ", read_page("Makefile"), re.MULTILINE)
    cells = " ".join(read_first_cells(read_page("CONTRIBUTING.md")))
    assert [name for name in targets if name != "help" and f"make {name}" not in cells] == []


def test_the_readme_explains_every_header_of_ours() -> None:
    """Each `x-llm-proxy-*` header in the source has its row in README, and no other has."""
    sent = set()
    for path in python_files("proxy"):
        sent.update(_HEADER.findall(path.read_text()))
    cells = [cell.strip("`") for cell in read_first_cells(read_page("README.md"))]
    assert sent == {cell for cell in cells if _HEADER.fullmatch(cell)}


def test_the_table_of_errors_has_every_code() -> None:
    """ARCHITECTURE.md names the code of each error, and of each clock that can run out."""
    codes = {kind.code for kind in _subclasses(ProxyError)} - {None, UpstreamError.code}
    for path in python_files("proxy/pipeline", "proxy/upstream", "proxy/wire", "proxy/providers"):
        codes.update(_UPSTREAM_CODE.findall(path.read_text()))
    words = read_code_words(read_sections(read_page("ARCHITECTURE.md"))["Errors"])
    assert codes - words - _OUTCOMES_ONLY == set()


def test_every_link_leads_somewhere() -> None:
    """Each relative link in each document names a file or folder, and a heading if it has one."""
    broken = []
    for page in _documents():
        for link in read_links(page.read_text()):
            if "://" not in link and not link.startswith("mailto:") and not _leads(page, link):
                broken.append(f"{shown(page)}: {link}")
    assert not broken, listed(broken)


@pytest.mark.parametrize("name", NAMING_FILES)
def test_files_that_are_named_exist(name: str) -> None:
    """A word in code that looks like a file is one; a shorter name is the end of a path."""
    known = [f"/{shown(path)}" for path in project_files()]
    missing = []
    for word in read_code_words(read_page(name)):
        # Acme is the made-up provider of the worked example.
        is_file = _FILE.fullmatch(word) and "acme" not in word
        if is_file and not any(path.endswith(f"/{word}") for path in known):
            missing.append(word)
    assert not missing, listed(missing)


@pytest.mark.parametrize("name", NAMING_FILES)
def test_names_of_the_source_exist(name: str) -> None:
    """`Class.member` is a member of a class of that name, and `function()` is defined somewhere."""
    members, functions = _read_source()
    missing = []
    for word in read_code_words(read_page(name)):
        dotted, called = _MEMBER.fullmatch(word), _FUNCTION.fullmatch(word)
        is_member = dotted is not None and dotted[2] not in members.get(dotted[1], ())
        if is_member or (called is not None and called[1] not in functions):
            missing.append(word)
    assert not missing, listed(missing)


def test_specimens_stand_in_the_files_they_are_taken_from() -> None:
    """Each block of CONTRIBUTING.md that says "From `file`:" is a piece of that file."""
    strange, count = [], 0
    for block in read_blocks(read_page("CONTRIBUTING.md"), "python"):
        source = re.search(r"\bFrom `([^`]+)`:\s*\Z", block.before)
        if source is not None:
            count += 1
            if block.text not in read_page(source[1]):
                strange.append(f"{source[1]}: {block.text.splitlines()[0].strip()}")
    assert count >= 4
    assert not strange, listed(strange)


def test_the_index_of_documents_is_complete() -> None:
    """docs/README.md links to every page of docs/."""
    links = set(read_links(read_page("docs/README.md")))
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages - links == set()


def test_the_index_of_decisions_is_complete() -> None:
    """Each decision has its number once, without a gap, and its row in the index."""
    pages = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))
    others = {path.name for path in DECISIONS.glob("*.md")} - {"README.md", *pages}
    assert others == set()
    links = read_links((DECISIONS / "README.md").read_text())
    assert [link for link in links if link[0].isdigit()] == pages


@pytest.mark.parametrize("page", sorted(DECISIONS.glob("[0-9]*.md")), ids=lambda page: page.stem)
def test_decisions_are_one_page_of_one_form(page: Path) -> None:
    """A decision has fewer than 60 lines and the four headings, under its own number."""
    text = page.read_text()
    assert text.startswith(f"# {page.name[:4]} ")
    assert list(read_sections(text)) == DECISION_HEADINGS
    assert len(text.splitlines()) < MAX_DECISION_LINES


def test_the_changelog_keeps_its_form() -> None:
    """CHANGELOG.md begins with what is not released yet, in Keep a Changelog's groups."""
    text = read_page("CHANGELOG.md")
    assert next(iter(read_sections(text))) == "[Unreleased]"
    groups = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert groups <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def _read_source() -> tuple[dict[str, set[str]], set[str]]:
    """Return the members of each class by its name, and the names of all functions."""
    members: dict[str, set[str]] = {}
    functions: set[str] = set()
    for path in python_files("proxy"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.add(node.name)
            elif isinstance(node, ast.ClassDef):
                found = members.setdefault(node.name, set())
                for part in ast.walk(node):
                    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                        found.add(part.name)
                    elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                        found.add(part.target.id)
                    elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                        found.add(part.attr)
    return members, functions


def _documents() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".md"]


def _leads(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.is_relative_to(ROOT):
        return False
    if shown(target) in WRITTEN_BY_COMMANDS:
        return True
    if not target.exists():
        return False
    return not anchor or anchor in read_anchors(target.read_text())


def _subclasses(kind: type[ProxyError]) -> Iterator[type[ProxyError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _subclasses(below)
