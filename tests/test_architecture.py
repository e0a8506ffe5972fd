"""The house rules that a machine can check: arrows between packages, cycles, file length, clocks, what a worker loads."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("generator", "analysis", "simulator", "console")
CONTRACT = (
    "generator.schema",
    "generator.names",
    "generator.run_dir",
    "generator.errors",
    "generator.job",
    "generator.until",  # the same of rules that end repeating
    "generator.thresholds",  # how a rule is written; what its figure is, analysis says
)
ARROWS = {
    "generator": ("generator",),
    "simulator": ("simulator", "generator.apis"),
    "analysis": ("analysis", *CONTRACT),
    "console": ("console", "analysis", "generator", "simulator"),
}
HEAVY = ("pydantic", "numpy", "uvloop", "duckdb", "aiohttp", "pyarrow")
NOT_IN_WORKERS = ("duckdb", "click", "pydantic", "rich", "plotly", "yaml")
CLOCKS = {
    ("time", name + suffix)
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
    for suffix in ("", "_ns")
} | {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


def module_files() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


FILES = module_files()


def _import_nodes(nodes: Iterable[ast.AST], *, late: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from _import_nodes(node.orelse, late=late)
        elif late or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _import_nodes(ast.iter_child_nodes(node), late=late)


def imports(source: str, *, late: bool) -> set[str]:
    """Modules that ``source`` imports when run; ``late``: inside functions too."""
    found: set[str] = set()
    for node in _import_nodes([ast.parse(source)], late=late):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, "relative imports hide the arrow"
            base = node.module or ""
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in FILES else base)
    return found


def within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def clock_reads(source: str) -> list[int]:
    """Lines that read a clock, by attribute (``time.monotonic_ns``) or by import (``from time import monotonic_ns``)."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if (name, node.attr) in CLOCKS:
                lines.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            lines += [node.lineno for alias in node.names if ("time", alias.name) in CLOCKS]
    return lines


def closure(module: str) -> set[str]:
    """Everything that a process which runs ``module`` may come to import, ours and others', late imports included."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        parents = {".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)}
        waiting += parents & FILES.keys()
        if name in FILES:
            waiting += imports(FILES[name].read_text(), late=True)
    return seen


@pytest.mark.parametrize("module", sorted(FILES))
def test_arrows_point_one_way(module: str) -> None:
    """console → analysis → generator's contract, console → generator; the simulator uses only the encodings of APIs."""
    package = module.split(".", maxsplit=1)[0]
    ours = {m for m in imports(FILES[module].read_text(), late=True) if within(m, PACKAGES)}
    assert {m for m in ours if not within(m, ARROWS[package])} == set()


def test_modules_form_no_cycle() -> None:
    """No module needs, while it is being imported, one that needs it."""
    graph = {m: imports(path.read_text(), late=False) & FILES.keys() for m, path in FILES.items()}
    graphlib.TopologicalSorter(graph).prepare()


def test_the_generators_rooms_form_no_cycle() -> None:
    """Between the generator's folders, too, arrows point one way; what stands at its top belongs to all of them."""
    homes = {m: m.split(".")[1] for m in FILES if m.startswith("generator.") and (FILES[m].parent.name != "generator")}
    rooms: dict[str, set[str]] = {room: set() for room in homes.values()}
    for module, room in homes.items():
        used = imports(FILES[module].read_text(), late=True)
        rooms[room] |= {homes[m] for m in used & homes.keys()} - {room}
    assert {"scenario", "planning", "workload", "sending", "transport", "apis", "recording", "scraping"} <= rooms.keys()
    graphlib.TopologicalSorter(rooms).prepare()
    assert [m for m, used in rooms.items() if "planning" in used or (m != "planning" and "scenario" in used)] == []


def test_only_scenarios_know_pydantic() -> None:
    """What a person writes is checked in one room; behind it are plain values."""
    users = {m for m in FILES if "pydantic" in imports(FILES[m].read_text(), late=True)}
    assert "generator.scenario.models" in users
    assert {m for m in users if within(m, ("generator",)) and not within(m, ("generator.scenario",))} == set()


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "benchmarks", "scenarios"])
def test_files_are_short(folder: str) -> None:
    """At most 400 lines: a longer file is two rooms in one."""
    sources = [p for kind in ("*.py", "*.sql", "*.yaml") for p in (ROOT / folder).rglob(kind)]
    assert {str(p): n for p in sources if (n := len(p.read_text().splitlines())) > 400} == {}


@pytest.mark.parametrize("module", sorted(m for m in FILES if within(m, ("generator",)) and m != "generator.clock"))
def test_only_the_clock_reads_clocks(module: str) -> None:
    """Within the generator every instant comes through generator/clock.py, so that all are of one clock."""
    assert clock_reads(FILES[module].read_text()) == []


def test_workers_load_nothing_of_the_console() -> None:
    """A worker's imports, transitive and late ones included, name no database, command line or model library."""
    loaded = closure("generator.worker")
    assert "generator.pacer" in loaded, "the walk must reach the worker's own parts"
    assert {m for m in loaded if within(m, (*NOT_IN_WORKERS, "analysis", "console", "simulator"))} == set()


@pytest.mark.parametrize(
    ("source", "late", "found"),
    [
        ("import duckdb", False, {"duckdb"}),
        ("from generator import errors", False, {"generator.errors"}),
        ("from generator.errors import QueryError", False, {"generator.errors"}),
        ("def f():\n  import duckdb", False, set()),
        ("def f():\n  import duckdb", True, {"duckdb"}),
        ("if TYPE_CHECKING:\n  import duckdb\nelse:\n  import numpy", True, {"numpy"}),
        ("try:\n  import uvloop\nexcept ImportError:\n  pass", False, {"uvloop"}),
    ],
)
def test_the_import_walk_sees(source: str, late: bool, found: set[str]) -> None:
    """The rules above are only as good as this walk: plain, from, late, conditional and type-only imports."""
    assert imports(source, late=late) == found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import time\nx = time.monotonic_ns()", [2]),
        ("from time import perf_counter", [1]),
        ("now = time.time", [1]),
        ("import datetime\ndatetime.datetime.now()", [2]),
        ("time.sleep(1)\nclock.now_ns()", []),
    ],
)
def test_the_clock_walk_sees(source: str, lines: list[int]) -> None:
    """Calls, aliases and imports of clocks are seen; sleeping is not reading."""
    assert clock_reads(source) == lines


COMMANDS = ("run", "plan", "seal", "report", "sql", "runs", "export", "serve", "simulate", "prompts", "schema")


@pytest.mark.parametrize("arguments", [(), *((c,) for c in COMMANDS)], ids=lambda a: " ".join(a) or "openloop")
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """``--help`` of every command answers without loading a library that it does not use."""
    program = (
        "import sys; from console.cli import main; code = main(sys.argv[1:]);"
        f"print(code, sorted(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Usage: openloop" in done.stdout
    assert done.stdout.splitlines()[-1] == "0 []"
