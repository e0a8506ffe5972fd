"""Every SQL file of the catalog, by given and expected rows: ``tests/sql/<name>.yaml`` holds the cases of ``analysis/sql/*/<name>.sql``.

A case gives rows as ``tests/fabricate.py`` makes them (``answers`` are requests with their chunks, ``tokens`` inside one changes chunks by
index) and expects the relation's rows in the order of its grain; a column that is left out may hold anything. ``where`` keeps rows first.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from analysis import catalog, database, relations
from tests import fabricate

CASES = Path(__file__).parent / "sql"


def cases():
    for path in sorted(CASES.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text(encoding="utf-8")):
            yield pytest.param(path.stem, case, id=f"{path.stem}: {case['rule']}")


def given_run(tmp_path, given):
    requests = [fabricate.request(**r) for r in given.get("requests", [])]
    tokens = [
        fabricate.token({"run_id": fabricate.RUN, "request_id": t["request_id"]}, t["chunk_index"], fabricate.START_NS)
        for t in given.get("tokens", [])
    ]
    for answer in given.get("answers", []):
        changes = answer.pop("tokens", {})
        row, chunks = fabricate.answer(**answer)
        requests.append(row)
        tokens += [chunk | changes.get(i, {}) for i, chunk in enumerate(chunks)]
    steps = [fabricate.step(**s) for s in given.get("steps", [])]
    health = [fabricate.beat(**h) for h in given.get("health", [])]
    asked = {r["request_id"]: r for r in requests}
    return fabricate.write(
        tmp_path / "run",
        steps=steps,
        requests=requests,
        tokens=tokens,
        health=health,
        texts=[fabricate.text(asked[t["request_id"]], **t) for t in given.get("texts", [])],
        server_metrics=[fabricate.figure(**f) for f in given.get("figures", [])],
        **given.get("manifest", {}),
    )


@pytest.mark.parametrize(("name", "case"), list(cases()))
def test_given_rows_give_the_expected_rows(name, case, tmp_path):
    """The rule is the case's own first line."""
    with database.open_runs([given_run(tmp_path, case["given"])]) as con:
        rows = catalog.run(con, name, **case.get("parameters", {})).dicts()
    kept = [r for r in rows if all(r[k] in v for k, v in case.get("where", {}).items())]
    assert len(kept) == len(case["expected"]), kept
    for row, expected in zip(kept, case["expected"], strict=True):
        seen = {k: row[k] for k in expected}
        assert seen == {k: pytest.approx(v) if isinstance(v, float) else v for k, v in expected.items()}


def test_every_sql_file_has_cases():
    """No relation without given and expected rows, and no cases of a relation that is gone."""
    assert {p.stem for p in CASES.glob("*.yaml")} == set(catalog.load())


@pytest.fixture(scope="module")
def plausible(tmp_path_factory):
    run = fabricate.realistic(tmp_path_factory.mktemp("runs") / "plausible", inexact=0.02)
    with database.open_runs([run]) as con:
        yield con


@pytest.mark.parametrize("name", list(catalog.load()))
def test_headers_tell_the_truth(name, plausible):
    """A header's columns are the relation's, its grain has no row twice, its parameters are the ones that the SQL reads."""
    query = catalog.find(name)
    result = catalog.run(plausible, name)
    assert set(result.columns) == {c.name for c in query.columns}
    if query.grain:
        at = [result.columns.index(g) for g in query.grain]
        assert len({tuple(row[i] for i in at) for row in result.rows}) == len(result.rows)
    else:
        assert len(result.rows) == 1
    read = {part.split("'", 1)[0] for part in query.sql.split("getvariable('")[1:]}
    assert read == {p.name for p in query.parameters}


@pytest.mark.parametrize("name", [q.name for q in catalog.load().values() if q.kind == "checks"])
def test_checks_are_silent_on_a_good_run(name, plausible):
    """A check returns no rows of a run that contradicts nothing."""
    assert catalog.run(plausible, name).rows == []


def test_names_with_the_same_parameter_agree():
    """Variables are the connection's, so one name has one type and one default."""
    seen = {}
    for query in catalog.load().values():
        for p in query.parameters:
            assert seen.setdefault(p.name, (p.type, p.default)) == (p.type, p.default)


def test_what_is_kept_rests_on_no_parameter():
    """A kept relation is computed once, so a parameter below it would freeze at its first value."""
    for query in catalog.load().values():
        if query.materialise:
            assert not any(below.parameters for below in relations.needs(query.name)), query.name
