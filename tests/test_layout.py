"""How the house is laid out, held by the suite: what stands where, what is documented, and who may make what."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docs_writer

TOP = Path(__file__).parent.parent
PACKAGES = ("bot", "connectors", "knowledge", "prompts")
FOLDERS = {".ci", "docs", "locks", "tests", *PACKAGES}
FILES = {
    ".editorconfig",
    ".gitattributes",
    ".gitignore",
    "CHANGELOG.md",
    "Makefile",
    "Procfile",
    "README.md",
    "pyproject.toml",
}
READS_THE_CLOCK = ("bot/__main__.py", "bot/app.py", "bot/demo.py", "bot/platforms/")
"""Edges, which hand `now` on. Everything below them takes it as an argument."""
HEAVY = {
    "alembic",
    "apscheduler",
    "bm25s",
    "chromadb",
    "fastapi",
    "holidays",
    "jinja2",
    "langchain",
    "langchain_core",
    "markdown_it",
    "numpy",
    "onnxruntime",
    "pydantic",
    "slack_bolt",
    "slack_sdk",
    "sqlalchemy",
    "sqlmodel",
    "uvicorn",
}


def test_the_top_level_is_the_rooms_of_the_house() -> None:
    """Lost: the next person looks for things in eight places and puts new ones in a ninth."""
    names = {path.relative_to(TOP).parts[0] for path in _ours()}
    assert names <= FOLDERS | FILES
    assert names >= FILES


def test_the_generated_pages_say_what_is_there() -> None:
    """Lost: a command, setting, rule, role or connector exists and nobody can read about it (make docs writes the pages)."""
    assert docs_writer.stale() == []


def test_every_module_of_the_bot_stands_on_the_design_page() -> None:
    """Lost: the page that is to be held in the head is no longer the house that stands."""
    page = (TOP / "docs" / "design.md").read_text("utf-8")
    modules = {
        path.relative_to(TOP / "bot").parts[0].removesuffix(".py") for path in _ours(".py") if path.is_relative_to(TOP / "bot")
    }
    assert sorted(name for name in modules - {"__init__"} if not re.search(rf"\b{name}\b", page)) == []


def test_every_link_in_the_docs_leads_somewhere() -> None:
    """Lost: a newcomer's second click."""
    broken = [
        f"{page.relative_to(TOP)}: {target}"
        for page in _ours(".md")
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_nothing_names_a_registry_a_machine_or_work_left_over() -> None:
    """Lost: the code installs from one company's mirror, runs on one laptop, or promises what was never written."""
    forbidden = re.compile(
        r"p[y]pi\.org|p[y]thonhosted\.org|n[p]mjs\.(?:org|com)|d[e]b\.debian\.org"
        r"|(?<![\w.~])/(?:w[o]rk|f[a]rm|r[o]ot|U[s]ers|h[o]me/[a-z]+)/[a-z]"
        r"|\bT[O]DO[ :(]|\bF[I]XME[ :(]"
    )
    found = [
        f"{path.relative_to(TOP)}:{number}: {match.group()}"
        for path in _ours()
        if path.suffix not in (".png", ".835")
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1)
        if (match := forbidden.search(line))
    ]
    assert found == []


@pytest.mark.parametrize(
    "maker, rooms",
    [("Wording", ("bot/cards.py", "bot/chat.py")), ("SopText", ("knowledge/",))],
)
def test_text_for_people_is_made_in_its_own_room_only(maker: str, rooms: tuple[str, ...]) -> None:
    """Lost: any module could dress up a connector's free text as our own words, and patient data would leave the building."""
    makers = {name for name, call in _calls() if _called(call).rpartition(".")[2] == maker}
    assert sorted(name for name in makers if not name.startswith(rooms)) == []


def test_sentences_for_people_are_literals() -> None:
    """Lost: `say(text_from_anywhere)` would make our own words out of whatever stands in a variable."""
    fixed = re.compile(
        r"view\.rule\.(?:why|done)|(?:cards\.)?(?:REASONS|WRONG|UNHELPFUL|NOTICES|DECIDED|PLATFORMS|FORMS|_QUICK|_ENDINGS)(?:\[['\w.]+\]|\.get\(.*\))"
    )
    loose = [
        f"{name}:{call.lineno}: {ast.unparse(call)[:80]}"
        for name, call in _calls()
        if _called(call) in ("say", "cards.say")
        if not isinstance(call.args[0], ast.Constant) and not fixed.fullmatch(ast.unparse(call.args[0]))
    ]
    assert loose == []


def test_the_core_never_reads_the_clock() -> None:
    """Lost: what happens on a DST night or a Monday after a holiday could no longer be replayed in a test."""
    clocks = re.compile(r"(?:^|\.)(?:(?:datetime|date)\.(?:now|utcnow|today)|time\.(?:time|time_ns|localtime|gmtime))$")
    readers = {name for name, call in _calls() if clocks.search(_called(call))}
    assert sorted(name for name in readers if not name.startswith(READS_THE_CLOCK)) == []


def test_the_command_line_starts_without_its_heavy_parts() -> None:
    """Lost: `python -m bot --help` would take seconds, because it imported a vector database to print a list."""
    code = "import sys, bot.__main__ as m; m.parser().format_help(); print(*{name.partition('.')[0] for name in sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True, timeout=60).stdout
    assert sorted(set(said.split()) & HEAVY) == []


def test_connectors_do_not_know_each_other() -> None:
    """Lost: the next connector starts as a copy of another's inside, and one export format's fix breaks a second."""
    import connectors

    names = connectors.names()
    knows = [
        f"{name} imports {imported}"
        for name in names
        for imported in _imports(TOP / "connectors" / f"{name}.py")
        if imported.removeprefix("connectors.").split(".")[0] in set(names) - {name}
    ]
    assert knows == []


def test_every_module_opens_with_its_job() -> None:
    """Lost: the reader has to work out from the code what the file is for."""
    silent = [
        str(path.relative_to(TOP))
        for path in _ours(".py")
        if path.read_text("utf-8").strip() and not ast.get_docstring(_tree(path))
    ]
    assert silent == []


def test_every_test_says_what_would_be_lost() -> None:
    """Lost: a red test nobody dares to delete and nobody knows how to weigh."""
    silent = [
        f"{path.relative_to(TOP)}: {node.name}"
        for path in _ours(".py")
        if path.name.startswith("test_")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


# --- reading the project -----------------------------------------------------------------------------------------------


def _ours(suffix: str = "") -> list[Path]:
    """The project's files as git knows them, or would if they were added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    said = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
    return [path for name in said.split("\0") if name.endswith(suffix) and (path := TOP / name).is_file()]


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the packages, with the file that makes it."""
    for path in _ours(".py"):
        name = path.relative_to(TOP).as_posix()
        if name.startswith(tuple(f"{package}/" for package in PACKAGES)):
            yield from ((name, node) for node in ast.walk(_tree(path)) if isinstance(node, ast.Call))


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))
