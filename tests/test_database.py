"""Runs open whatever state they are in, and whoever asks a bad question is told what there is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import catalog, database, relations
from generator.errors import QueryError, RunFolderError
from generator.run_dir import RunDir
from generator.schema import OPTIONAL_TABLES, TABLES
from tests.fabricate import START_NS, answer, beat, realistic, request, step, token, write


def two_answers():
    rows, chunks = zip(*(answer(n, at_ms=100 * n, worker_id=n) for n in range(2)), strict=True)
    return {"steps": [step()], "requests": list(rows), "tokens": [c for of in chunks for c in of], "health": [beat()]}


def summary(run):
    with database.open_runs([run]) as con:
        return catalog.run(con, "step_summary").dicts(), catalog.run(con, "icl_percentiles").dicts()


def test_segments_read_like_the_sealed_run(tmp_path):
    """A run that a crash left in segments, its chunks in the order of decoding, gives the figures of the sealed one."""
    sealed = write(tmp_path / "a", **two_answers())
    torn = write(tmp_path / "b", **two_answers(), sealed=False)
    path = torn.segments / "tokens-0-0.parquet"
    chunks = pq.read_table(path)
    pq.write_table(chunks.take(pa.array([0, 4, 1, 5, 2, 6, 3, 7])), path)
    assert summary(sealed) == summary(torn)


def test_a_run_of_nothing_has_every_table(tmp_path):
    """No files at all: each table is there with the contract's columns and no rows, and each query runs."""
    with database.open_runs([write(tmp_path / "run", sealed=False)]) as con:
        for table, schema in (TABLES | OPTIONAL_TABLES).items():
            result = catalog.query(con, f"FROM {table}")
            assert (list(result.columns), result.rows) == (schema.names, [])
        for name, query in catalog.load().items():
            rows = catalog.run(con, name).rows
            assert not rows or not query.grain, name


def test_nasty_runs_answer_every_query(tmp_path):
    """All failed, one request, no tokens, no window: every query of the catalog gives rows or none, and never an error."""
    single, chunks = answer()
    runs = {
        "failed": {
            "steps": [step()],
            "requests": [request(n, outcome="timeout", done_ns=START_NS + n) for n in range(3)],
        },
        "single": {"steps": [step(concurrency=1, duration_s=0)], "requests": [single], "tokens": chunks},
        "silent": {"steps": [step()], "requests": [request()]},
        "probes": {"requests": [request(-1, request_id=-1, step_id=-1, phase="probe", scheduled_ns=START_NS)]},
        "unended": {"steps": [step() | {"end_ns": None, "drained_ns": None}], "requests": [request()]},
    }
    for name, tables in runs.items():
        with database.open_runs([write(tmp_path / name, **tables)]) as con:
            for query in catalog.load():
                catalog.run(con, query)


def test_several_runs_stay_apart(tmp_path):
    """Request numbers repeat from run to run; every figure is per run."""
    runs = [realistic(tmp_path / name, seed=seed) for seed, name in enumerate(("first", "second"))]
    alone = []
    for run in runs:
        with database.open_runs([run]) as con:
            alone += catalog.run(con, "latency_summary").dicts()
    with database.open_runs(runs) as con:
        assert catalog.run(con, "latency_summary").dicts() == alone


def test_one_run_twice_is_refused(tmp_path):
    """A copy has the run's id in every row, so joins would count it twice."""
    a, b = write(tmp_path / "a"), write(tmp_path / "b")
    with pytest.raises(RunFolderError, match="given twice"):
        database.open_runs([a, b])


def test_columns_of_another_version(tmp_path):
    """A column that a file lacks is NULL, one that it adds is kept, and a narrower type is widened."""
    run = write(tmp_path / "run", **two_answers())
    table = pq.read_table(run.table_path("requests")).drop(["reads"])
    table = table.set_column(table.schema.get_field_index("bytes_sent"), "bytes_sent", pa.array([1, 2], pa.int8()))
    pq.write_table(table.append_column("zone", pa.array(["x", "y"])), run.table_path("requests"))
    with database.open_runs([run]) as con:
        assert catalog.query(
            con, "SELECT reads, zone, bytes_sent, typeof(bytes_sent) FROM requests ORDER BY zone"
        ).rows == [(None, "x", 1, "BIGINT"), (None, "y", 2, "BIGINT")]


@pytest.mark.parametrize("sealed", [True, False])
def test_a_damaged_file_is_named_with_the_remedy(tmp_path, sealed):
    """A file cut short is found at opening: its path and what to do are in the message."""
    run = write(tmp_path / "run", **two_answers(), sealed=sealed)
    path = run.table_files("tokens")[0]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RunFolderError, match=rf"{path.name}: damaged.*(restore|move this one segment away)"):
        database.open_runs([run])


def test_damage_inside_a_file_is_found_when_it_is_read(tmp_path):
    """A whole footer over spoilt pages is a damaged run, not a bad query."""
    run = write(tmp_path / "run", **two_answers())
    path = run.table_path("tokens")
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(bytes(data))
    with database.open_runs([run]) as con, pytest.raises(RunFolderError, match=r"tokens\.parquet: damaged"):
        catalog.run(con, "step_summary")


def test_a_run_without_a_manifest_is_still_read(tmp_path):
    """A coordinator that died at once left none; one that is damaged is an error."""
    run = write(tmp_path / "run", **two_answers())
    run.manifest_path.write_text("{")
    with pytest.raises(RunFolderError, match="damaged"):
        database.open_runs([run])
    run.manifest_path.unlink()
    with database.open_runs([run]) as con:
        assert len(catalog.run(con, "step_summary").rows) == 1


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT 1; SELECT 2", "2 statements"),
        ("", "0 statements"),
        ("DROP TABLE runs", "this is DROP"),
        ("COPY (SELECT 1) TO '/tmp/x.csv'", "this is COPY"),
        ("SET threads = 1", "this is"),
        ("ATTACH '/tmp/x.db'", "this is ATTACH"),
        ("SELECT * FROM read_text('/etc/hostname')", "no other files"),
        ("SELECT * FROM '/etc/passwd.csv'", "no other files"),
        ("SELEC 1", "syntax error"),
        ("SELECT nope FROM requests", "nope"),
        ("SELECT * FROM request_metric", "request_metrics"),
        ("SELECT * FROM step_sumary", "nearest: step_summary"),
    ],
)
def test_bad_sql_is_refused_in_words(tmp_path, sql, told):
    """One SELECT over the run's own tables; anything else is an error that names what was wrong or what is near."""
    run = write(tmp_path / "run", **two_answers())
    with database.open_runs([run]) as con, pytest.raises(QueryError, match=told):
        catalog.query(con, sql)


def test_good_sql_sees_tables_and_named_queries(tmp_path):
    """Ad-hoc SQL joins raw tables with the catalog's relations, in any case and any form of SELECT."""
    run = write(tmp_path / "run", **two_answers())
    with database.open_runs([run]) as con:
        assert catalog.query(
            con, "select count(*) n from Requests join request_metrics using (run_id, request_id)"
        ).one() == {"n": 2}
        assert catalog.arrow(con, "FROM ttft_percentiles SELECT n").read_all().to_pylist() == [{"n": 2}]


@pytest.mark.parametrize(
    ("name", "params", "told"),
    [
        ("ttft_percentile", {}, "nearest: ttft_percentiles"),
        ("zzz", {}, "there are: "),
        ("timeline", {"width": 1}, "has no parameter 'width'; it has: interval_s"),
        ("timeline", {"interval_s": "soon"}, "'soon' is no INTEGER"),
        ("ttft_percentiles", {"q": 1}, "it has: none"),
    ],
)
def test_bad_names_and_parameters_are_told(tmp_path, name, params, told):
    """What does not exist is answered with what does."""
    with database.open_runs([write(tmp_path / "run")]) as con, pytest.raises(QueryError, match=told):
        catalog.run(con, name, **params)


def test_a_parameter_lasts_for_one_query(tmp_path):
    """The next run of the query has the default again."""
    run = write(tmp_path / "run", **two_answers())
    with database.open_runs([run]) as con:
        assert catalog.run(con, "goodput", slo_ttft_ms=1).one()["good_requests"] == 0
        assert catalog.run(con, "goodput").one()["good_requests"] == 2


GOOD = "-- name: x\n-- question: q?\n-- grain: a\n-- column: a [-] it\n--   is\n\nSELECT 1 AS a"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("-- name: x\n", ""), "lacks name"),
        (GOOD.replace("name: x", "name: y"), "file's name wants 'x'"),
        (GOOD.replace("-- grain: a", "-- grain: b"), "grain: b: no such column"),
        (GOOD.replace("-- grain: a", "-- gran: a"), r"x\.sql:3: .*a header line is"),
        (GOOD.replace("[-] ", ""), r"x\.sql:4: .*a column line is"),
        (GOOD.replace("\n\n", "\n-- column: a [ms] again\n\n"), "column 'a' a second time"),
        (GOOD.replace("\n\n", "\n-- parameter: w INT 1 width\n\n"), "a parameter line is"),
        (GOOD.replace("\n\n", "\n-- name: x\n\n"), "a second `name`"),
        (GOOD.replace("\n\n", "\n-- materialise: yes\n-- parameter: w INTEGER 1 width\n\n"), "cannot take parameters"),
        (GOOD.replace("\n\n", "\n-- materialise: no\n\n"), "materialise: `yes`"),
        (GOOD.split("\n\n", 1)[0], "no SELECT"),
        ("SELECT 1", "lacks name, question, grain"),
    ],
)
def test_bad_headers_are_refused_with_file_and_line(text, told):
    """The parser is strict: a header that says nothing, or something twice, is an error."""
    with pytest.raises(QueryError, match=told):
        relations.parse(text, "metrics/x.sql")


def test_a_good_header_is_read():
    """Continuation lines belong to the line above."""
    query = relations.parse(GOOD, "metrics/x.sql")
    assert (query.name, query.grain, query.columns[0].meaning, query.sql) == ("x", ("a",), "it is", "SELECT 1 AS a")


def test_percentiles_are_numpys(tmp_path):
    """The macro interpolates as numpy does, for values and for counted gaps, to the microsecond."""
    run = realistic(tmp_path / "run")
    with database.open_runs([run]) as con:
        ttft = np.array(
            [
                r[0]
                for r in catalog.query(
                    con, "SELECT ttft_ms FROM request_metrics WHERE step_id = 2 AND outcome = 'ok'"
                ).rows
            ]
        )
        row = next(r for r in catalog.run(con, "ttft_percentiles").dicts() if r["step_id"] == 2)
        assert [row[k] for k in ("p50_ms", "p75_ms", "p99_ms")] == pytest.approx(
            list(np.quantile(ttft, [0.5, 0.75, 0.99]))
        )
        gaps = (
            np.array(
                [
                    r[0]
                    for r in catalog.query(con, "SELECT gap_ns FROM chunk_gaps WHERE request_id // 1000000000 = 2").rows
                ]
            )
            / 1e6
        )
        row = next(r for r in catalog.run(con, "icl_percentiles").dicts() if r["step_id"] == 2)
        assert [row[k] for k in ("p50_ms", "p95_ms", "p99_ms")] == pytest.approx(
            list(np.quantile(gaps, [0.5, 0.95, 0.99])), abs=1e-3
        )


def test_student_s_quantile_is_that_of_the_tables(tmp_path):
    """Two-sided 95 %, as printed, from 2 degrees of freedom on: to 0.8 % there, 0.2 % of 3 and 0.05 % from 4 on."""
    printed = {2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 8: 2.3060, 10: 2.2281, 20: 2.0860, 29: 2.0452, 120: 1.9799}
    with database.open_runs([write(tmp_path / "run")]) as con:
        for dof, critical in printed.items():
            ((found,),) = catalog.query(con, f"SELECT student_975({dof})").rows
            assert found == pytest.approx(critical, rel={2: 0.008, 3: 0.002}.get(dof, 0.0005))


def test_the_fluidity_query_is_the_recursion(tmp_path):
    """For random chunk times the window function gives what the deadline's recursion gives: a miss restarts the reader's clock."""
    rng = np.random.default_rng(5)
    first_ms, next_ms = 60.0, 10.0
    rows, chunks, expected = [], [], []
    for n in range(200):
        ttft, gaps = rng.exponential(60), rng.exponential(11, rng.integers(0, 30))
        row, tokens = answer(n, ttft_ms=ttft, gaps_ms=gaps)
        rows.append(row)
        chunks += tokens
        deadline, on_time = first_ms, []
        for x in ((t["t_ns"] - row["scheduled_ns"]) / 1e6 for t in tokens):
            on_time.append(x <= deadline)
            deadline = max(deadline, x) + next_ms
        expected.append(sum(on_time) / len(on_time))
    with database.open_runs([write(tmp_path / "run", steps=[step()], requests=rows, tokens=chunks)]) as con:
        found = catalog.run(con, "fluidity", first_ms=first_ms, next_ms=next_ms).dicts()
    assert [r["fluidity"] for r in found] == pytest.approx(expected)


def test_opening_reads_no_rows(tmp_path):
    """A token file whose pages are spoilt opens all the same: only footers are read."""
    run = write(tmp_path / "run", **two_answers())
    path = run.table_path("tokens")
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(bytes(data))
    with database.open_runs([RunDir(run.path)]) as con:
        assert catalog.query(con, "SELECT count(*) AS n FROM requests").one() == {"n": 2}


def test_interval_covers_under_dependence(tmp_path):
    """On an AR(1) process the effective size shrinks and the median's interval holds the truth in most of 20 runs; the plain
    binomial one, n as it stands, would be three times too narrow.
    """
    rng = np.random.default_rng(11)
    steps, rows, chunks = [], [], []
    for s in range(20):
        steps.append(step(s, start_ns=START_NS))
        x = 0.0
        for n in range(600):
            x = 0.8 * x + rng.normal()
            row = request(n, s, at_ms=n)
            rows.append(row)
            chunks.append(token(row, 0, row["scheduled_ns"] + int((50 + x) * 1e6)))
    with database.open_runs([write(tmp_path / "run", steps=steps, requests=rows, tokens=chunks)]) as con:
        found = [r for r in catalog.run(con, "percentile_intervals").dicts() if r["metric"] == "ttft" and r["q"] == 0.5]
    shrunk = [r["n_effective"] for r in found]
    assert max(shrunk) < 400
    assert sum(r["low_ms"] <= 50 <= r["high_ms"] for r in found) >= 17


def test_an_upper_end_beyond_the_sample_is_none(tmp_path):
    """400 independent requests are more than the 368 that bound a p99 by the binomial law, and fewer than Student's wider quantile asks:
    the largest value is not told as an end that it is not; 1,000 bound it."""
    rng = np.random.default_rng(5)
    steps, rows, chunks = [], [], []
    for s, n in enumerate((400, 1000)):
        steps.append(step(s, start_ns=START_NS))
        for i, ms in enumerate(rng.exponential(50, n)):
            row = request(i, s, at_ms=i)
            rows.append(row)
            chunks.append(token(row, 0, row["scheduled_ns"] + int(ms * 1e6)))
    with database.open_runs([write(tmp_path / "run", steps=steps, requests=rows, tokens=chunks)]) as con:
        few, enough = (
            r for r in catalog.run(con, "percentile_intervals").dicts() if r["metric"] == "ttft" and r["q"] == 0.99
        )
    assert 368 <= few["n_effective"] <= 400
    assert few["high_ms"] is None
    assert few["low_ms"] < few["ms"]
    assert few["reason"] == f"n too small: 400 of {few['least_n']}"
    assert few["least_n"] >= 415
    assert enough["low_ms"] < enough["ms"] < enough["high_ms"]
    assert enough["reason"] is None


def test_memory_grows_with_requests_within_the_machines(tmp_path, monkeypatch):
    """Relations with a row a request need room for it; a torn file changes nothing, and the machine's half is the most."""
    few, many, torn = (tmp_path / name for name in ("few", "many", "torn"))
    pq.write_table(pa.table({"n": np.zeros(1_000, np.int8)}), few)
    pq.write_table(pa.table({"n": np.zeros(1_200_000, np.int8)}), many)
    torn.write_bytes(b"PAR1")
    assert database._memory_for([few]) == database._memory_for([few, torn]) == "600MB"
    assert database._memory_for([many, few]) == "1601MB"
    monkeypatch.setattr(database.psutil, "virtual_memory", lambda: SimpleNamespace(total=2_000_000_000))
    assert database._memory_for([many, few]) == "1000MB"
