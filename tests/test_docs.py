"""Documents say what the program does: generated pages are current, hand-written ones name every key, links lead somewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from analysis import catalog
from console import cli, exits, meanings, reference
from generator import schema
from generator.run_dir import RunDir
from generator.scenario import reading

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("name", sorted(reference.PAGES))
def test_generated_pages_are_current(name: str) -> None:
    """What ``make docs`` would write is what is there."""
    assert page(name) == reference.PAGES[name](), "run: make docs"


def test_every_command_and_option_is_documented() -> None:
    """commands.md has a section a command, every option of it with a meaning, and every exit code."""
    text = page("commands.md")
    for name, command in cli.openloop.commands.items():
        section = text.split(f"## openloop {name}\n", 1)[1].split("\n## ", 1)[0]
        assert command.help
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"openloop {name}: {option.opts} has no help"
                assert all(f"`{word}`" in section for word in option.opts)
    assert all(f"| `{code}` |" in text for code in exits.MEANING)


def test_every_column_has_a_meaning() -> None:
    """tables.md says of every column of every table what it holds."""
    comments = meanings.column_comments()
    assert {
        f"{t}.{c}" for t, columns in schema.TABLES.items() for c in columns.names if not comments[t].get(c)
    } == set()


def test_every_query_is_documented() -> None:
    """metrics.md has a section a named query, and all its columns and parameters."""
    text = page("metrics.md")
    for query in catalog.load().values():
        section = text.split(f"### {query.name}\n", 1)[1].split("\n### ", 1)[0]
        assert all(f"`{thing.name}`" in section for thing in (*query.columns, *query.parameters))


def keys(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all keys that a JSON Schema knows; names that a person chooses (headers, targets) are none."""
    if isinstance(node, list):
        for inner in node:
            yield from keys(inner, path)
    elif isinstance(node, dict):
        for name, inner in (node.get("properties") or {}).items():
            yield (*path, name)
            yield from keys(inner, (*path, name))
        for word in ("anyOf", "allOf", "items", "additionalProperties", "prefixItems"):
            yield from keys(node.get(word), path)


def resolved(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [resolved(inner, definitions) for inner in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return resolved(definitions[node["$ref"].rsplit("/", 1)[1]], definitions)
    return {key: resolved(inner, definitions) for key, inner in node.items() if key != "$defs"}


SECTIONS = {
    "target": "target",
    "targets": "target",
    "tls": "tls",
    "http": "http",
    "metrics": "metrics",
    "record": "record",
    "workload": "workload",
    "workloads": "workload",
    "cancel": "cancel",
    "session": "session",
    "turns": "workload",
    "first_input_tokens": "workload",
    "prompts": "prompts",
    "lengths": "lengths",
    "shared_prefix": "shared_prefix",
    "steps": "steps",
    "trace": "trace",
    "matrix": "matrix",
    "repeat": "repeat",
    "slo": "slo",
    "thresholds": "thresholds",
    "timeouts": "timeouts",
    "input_tokens": "workload",
    "output_tokens": "workload",
}
"""Key → the section of scenario.md that documents what is inside it; the nearest one counts."""


def test_every_scenario_key_is_documented() -> None:
    """scenario.md names each key of the JSON Schema, as code, in the section that it belongs to."""
    tree = reading.json_schema()
    parts = re.split(r"^#{2,3} (.+)$", page("scenario.md"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = set(keys(resolved(tree, tree["$defs"])))
    assert ("steps", "trace", "window", "from") in found, "the walk must reach what is nested"
    missing = set()
    for path in found:
        around = next((SECTIONS[key] for key in reversed(path[:-1]) if key in SECTIONS), "The whole")
        if not re.search(
            rf"(?<![\w]){re.escape(path[-1])}(?![\w])", " ".join(re.findall(r"`[^`]+`", sections[around]))
        ):
            missing.add(".".join(path))
    assert missing == set()


def test_the_example_of_http_json_is_the_shipped_one() -> None:
    """What the page explains is what `openloop run http-json` does, record by record."""
    blocks = dict(re.findall(r"```(yaml|json)\n(.*?)```", page("http-json.md"), re.DOTALL))
    shipped = resources.files("scenarios")
    assert yaml.safe_load(blocks["yaml"]) == yaml.safe_load(shipped.joinpath("http-json.yaml").read_text())
    first = json.loads(shipped.joinpath("data/tickets.jsonl").read_text().splitlines()[0])
    told = json.loads(blocks["json"])
    said = told["ticket"]["text"].removesuffix("…")
    assert first["ticket"]["text"].startswith(said)
    assert told == {**first, "ticket": {**first["ticket"], "text": f"{said}…"}}


def test_the_scenario_of_the_page_is_a_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example at the top of scenario.md loads as it stands."""
    block = re.search(r"```yaml\n(.*?)```", page("scenario.md"), re.DOTALL)
    assert block is not None
    (tmp_path / "example.yaml").write_text(block[1])
    monkeypatch.setenv("TOGETHER_API_KEY", "k")
    assert reading.load(str(tmp_path / "example.yaml"), {}, []).name == "rate-staircase"


@pytest.mark.parametrize("name", reading.shipped())
def test_shipped_scenarios_load(name: str) -> None:
    """Every scenario that comes with the package is one."""
    assert reading.load(name, {}, []).name == name


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link of a page names a file that is there."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    gone = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert gone == []


def test_files_of_a_run_are_documented() -> None:
    """The page on run folders names each file that a run leaves."""
    text = page("tables.md")
    run = RunDir(Path("runs/x"))
    files = [run.manifest_path, run.scenario_path, run.report_path, run.journal_path, run.log_path, run.counters_path]
    for file in [*files, *(run.table_path(table) for table in schema.TABLES)]:
        assert f"`{file.name}`" in text
