"""What a box can be asked: each job takes a dict of plain values and gives (facts, bytes). Runs in the box's process alone."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import yaml

from generator.errors import QueryError, ScenarioError

if TYPE_CHECKING:
    from generator.scenario.reading import Scenario  # pydantic's import is for those jobs alone that read a scenario

_NOWHERE = Path("/nonexistent")
"""What does not fit into the memory of a query is refused, not spilled."""

Job = dict[str, Any]
Done = tuple[dict[str, Any], bytes]


def do(job: Job) -> Done:
    return _JOBS[job["op"]](job)


def _plan(job: Job) -> Done:
    """A scenario read, admitted, planned: nothing is sent, nothing is written.

    ``text``, ``object`` (JSON) or ``shipped``, ``flags``, ``sets``, ``base``, ``rules``; → the resolved scenario and what the run would do.
    """
    try:
        return _planned(job)
    except ScenarioError as e:
        raise ScenarioError(_as_asked(str(e))) from None
    except RecursionError:
        raise ScenarioError("scenario: too deep; a scenario has few levels") from None


def _as_asked(text: str) -> str:
    """Places as whoever asked knows them: fields of the form, where the command line has flags."""
    return re.sub(r"^--(?:set )?([a-z][\w.-]*)", lambda m: m[1].replace("-", "_"), text, flags=re.MULTILINE)


def _planned(job: Job) -> Done:
    from console import forecast, prepare
    from console.web import admission
    from generator.planning import plan
    from generator.scenario import reading

    rules = admission.of_told(job["rules"])
    shipped = job.get("shipped")
    if shipped is not None:
        read = reading.load(shipped, job["flags"], job["sets"])
    else:
        text = job["text"] if "text" in job else _as_yaml(job["object"], job["most_bytes"])
        read = reading.load_text(text, "scenario", Path(job["base"]), job["flags"], job["sets"])
    _check_length(read, job["most_bytes"])
    admission.check_read(read, rules)
    prepare.simulators_of(read)
    planned = plan.make(read, "planned")
    admission.check_size(planned, rules)
    first = next(iter(planned.plan.targets.values()))
    form = next(iter(read.form.target_forms().values()))
    facts = {
        "name": planned.plan.name,
        "seed": planned.plan.seed,
        "scenario": read.text(),
        "digest": f"sha256:{_digest(read)}",
        "model": first.model,
        "provider": form.provider,
        "target": ", ".join(t.url for t in planned.plan.targets.values()),
        "lanes": admission.lanes(read),
        "env_names": admission.names_used(read),
        "warnings": planned.warnings,
        "plan": json.loads(forecast.as_json(planned)),
        "text": forecast.as_text(planned),
    }
    return facts, b""


def _as_yaml(text: str, most_bytes: int) -> str:
    """A JSON object as a person would write it. Indentation may make more of it than ``most_bytes``, which is refused: ScenarioError."""
    made = yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True)
    if len(made) > most_bytes:
        raise ScenarioError(f"scenario: {len(made):,} characters as YAML; at most {most_bytes:,} are taken")
    return made


def _check_length(read: Scenario, most_bytes: int) -> None:
    """Raises ScenarioError where it is longer than ``most_bytes`` once every alias stands for itself, as it will wherever it is data: a few
    hundred bytes of YAML can be gigabytes.
    """
    try:
        length = len(orjson.dumps(read.document.data, default=str, option=orjson.OPT_NON_STR_KEYS))
    except TypeError as e:
        # YAML's escapes can write half of a surrogate pair, which is no character and has no UTF-8.
        raise ScenarioError(f"scenario: a text in it cannot be written: {e}") from None
    if length > most_bytes:
        raise ScenarioError(f"scenario: {length:,} bytes once it is resolved; at most {most_bytes:,} are taken")


def _digest(read: Scenario) -> str:
    """Of the scenario as ``text`` has it, which is the digest in the run's manifest; where the seed was drawn only now, of all but the seed,
    so that what is submitted twice is the same twice.
    """
    if read.form.seed is not None:
        return read.digest()
    known = {"name": read.name} | {key: value for key, value in read.document.data.items() if key != "seed"}
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()


def _report(job: Job) -> Done:
    from console import judged
    from generator.run_dir import RunDir

    with judged.judged(RunDir(Path(job["path"])), memory_limit=job["memory"]) as j:
        if job["form"] not in judged.FORMS:
            raise QueryError(f"no form {job['form']!r}; there are: {', '.join(judged.FORMS)}")
        return {"verdict": j.verdict.verdict}, judged.FORMS[job["form"]](j).encode()


def _judge(job: Job) -> Done:
    """What the catalogue keeps of a run that was made elsewhere. Writes nothing into its folder."""
    from console import judged
    from console.web import figures
    from generator.run_dir import RunDir

    with judged.judged(RunDir(Path(job["path"])), memory_limit=job["memory"]) as j:
        known, points = figures.of_report(j.report)
        return {
            "verdict": j.verdict.verdict,
            "reasons": list(j.verdict.reasons),
            "figures": known,
            "points": points,
        }, b""


def _results(job: Job) -> Done:
    from analysis import catalog, database
    from generator.run_dir import RunDir

    with database.open_runs(
        [RunDir(Path(job["path"]))], memory_limit=job["memory"], threads=2, temp_directory=_NOWHERE
    ) as con:
        rows = catalog.run(con, "request_results", first=job["first"], many=job["most"]).dicts()
        total = rows[0]["of"] if rows else con.sql("SELECT count(*) FROM requests WHERE step_id >= 0").fetchall()[0][0]
        texts = {}
        if rows:
            ids = ", ".join(str(int(row["request_id"])) for row in rows)
            asked = con.execute(f"SELECT request_id, prompt, response FROM texts WHERE request_id IN ({ids})")
            texts = {number: (prompt, response) for number, prompt, response in asked.fetchall()}
    for row in rows:
        row["prompt"], row["response"] = texts.get(row["request_id"], (None, None))
    return {"total": total}, orjson.dumps(rows, default=str)


def _query(job: Job) -> Done:
    """A named query with ``params``, or one SELECT, of the run at ``path``; at most ``rows`` rows as json, csv or parquet."""
    import pyarrow as pa

    from analysis import catalog, database
    from generator.run_dir import RunDir

    with database.open_runs(
        [RunDir(Path(job["path"]))],
        memory_limit=job["memory"],
        threads=2,
        temp_directory=_NOWHERE,
    ) as con:
        if job.get("name") is not None:
            found = catalog.run(con, job["name"], **job["params"])
            columns, rows = list(found.columns), iter(found.rows)
        else:
            reader = catalog.arrow(con, job["sql"])
            columns = list(reader.schema.names)
            rows = (row for batch in reader for row in zip(*(c.to_pylist() for c in batch.columns), strict=True))
        try:
            kept = list(islice(rows, job["rows"]))
            more = next(rows, None) is not None
            body = _FORMS[job["form"]](columns, kept)
        except OSError as e:  # as which DuckDB's errors come through Arrow once rows are fetched
            raise QueryError(database.first_line(e)) from e
        except (OverflowError, ValueError, pa.ArrowException) as e:
            raise QueryError(f"a value has no place in {job['form']}: {e}; cast it, such as value::VARCHAR") from e
    return {"columns": columns, "rows": len(kept), "cut": more}, body


def _as_json(_: list[str], rows: list[tuple[Any, ...]]) -> bytes:
    # A join may give a name twice, which an object cannot hold; NaN and infinity become null.
    return orjson.dumps(rows, default=str, option=orjson.OPT_NON_STR_KEYS)


def _as_csv(columns: list[str], rows: list[tuple[Any, ...]]) -> bytes:
    from console.rows import write_csv

    out = io.StringIO()
    write_csv(columns, iter(rows), out)
    return out.getvalue().encode()


def _as_parquet(columns: list[str], rows: list[tuple[Any, ...]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    named = [f"{name}_{n}" if name in columns[:n] else name for n, name in enumerate(columns)]
    out = io.BytesIO()
    pq.write_table(pa.table({name: [row[n] for row in rows] for n, name in enumerate(named)}), out)
    return out.getvalue()


_FORMS = {"json": _as_json, "csv": _as_csv, "parquet": _as_parquet}


def _compare(job: Job) -> Done:
    from console import compared
    from generator.run_dir import RunDir

    runs = [RunDir(Path(path)) for path in job["paths"]]
    return {}, orjson.dumps(compared.compared(*runs, memory_limit=job["memory"]), default=str)


_JOBS: dict[str, Callable[[Job], Done]] = {
    "plan": _plan,
    "report": _report,
    "judge": _judge,
    "results": _results,
    "query": _query,
    "compare": _compare,
}
