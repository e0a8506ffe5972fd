"""The JSON Schema of reports: shipped, printed, and true of every report that the tests make and of a real one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from report_runs import INVALID, STATES, aimed, judged
from report_schema import schema_of, text_of

from analysis.report import schema
from analysis.report.json import render
from console import cli

FILE = Path(schema.__file__).with_name("assets") / "report.schema.json"
HOW = (
    "a key of the report came, went or changed: say so in docs/report.md, then OPENLOOP_GOLDEN=write renews the schema"
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Reports of runs in every state, as another program reads them."""
    found = {}
    for name, make in {**STATES, "aimed": aimed}.items():
        con, report, _ = judged(make(tmp_path_factory.mktemp("runs") / name), INVALID)
        con.close()
        found[name] = json.loads(render(report))
    return found


def test_the_shipped_schema_is_what_reports_are(reports: dict[str, Any]) -> None:
    """Keys, types and meanings: none that a report has is missing, none is invented."""
    made = text_of(schema_of(reports.values()))
    if os.environ.get("OPENLOOP_GOLDEN") == "write":
        FILE.write_text(made)
    assert FILE.read_text() == made, HOW


def test_every_report_is_by_the_schema(reports: dict[str, Any]) -> None:
    """A validator that knows nothing of us agrees; it objects to another format and to a key that is missing, not to one more."""
    validator = jsonschema.Draft202012Validator(schema.load())
    for name, report in reports.items():
        assert [(name, e.json_path, e.message) for e in validator.iter_errors(report)] == []
    small = reports["small"]
    assert not list(validator.iter_errors(small | {"surprise": 1}))
    (other,) = validator.iter_errors(small | {"format": 2})
    assert other.json_path == "$.format"
    (missing,) = validator.iter_errors({k: v for k, v in small.items() if k != "steps"})
    assert "'steps' is a required property" in missing.message


def test_every_key_has_a_meaning() -> None:
    """The schema says of every key what docs/report.md says of it; a group of keys needs no words of its own."""
    silent = []

    def walk(node: dict[str, Any], path: str) -> None:
        for key, inner in node.get("properties", {}).items():
            here = f"{path}.{key}" if path else key
            if "description" not in inner and "properties" not in inner:
                silent.append(here)
            walk(inner, here)
        if "items" in node:
            walk(node["items"], path)

    walk(schema.load(), "")
    assert silent == []


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`openloop schema report` prints the schema of reports, `openloop schema` that of scenarios."""
    assert cli.main(["schema", "report"]) == 0
    assert json.loads(capsys.readouterr().out) == schema.load()
    assert cli.main(["schema"]) == 0
    assert "steps" in json.loads(capsys.readouterr().out)["properties"]
