"""Rules that somebody asks of a run which is over: ``openloop report RUN --threshold RULE``."""

from __future__ import annotations

from collections.abc import Sequence

from duckdb import DuckDBPyConnection
from pydantic import ValidationError

from analysis import thresholds
from generator.errors import QueryError
from generator.scenario import text as scenario_text
from generator.scenario.threshold import ThresholdForm
from generator.thresholds import Rule, UnmatchedError, narrowed


def rules(con: DuckDBPyConnection, texts: Sequence[str]) -> list[Rule]:
    """Each is a rule's text or a mapping as a scenario has it. Raises QueryError that names the flag and what is nearest."""
    parts = thresholds.parts(con) if texts else []
    found = []
    for text in texts:
        place = f"--threshold {text}"
        form = _form(text, place)
        if form.abort:
            raise QueryError(f"{place}: abort stops a run that is going; this one is over")
        try:
            found.append(
                narrowed(form.rule, parts, step=form.step, workload=form.workload, target=form.target, tag=form.tag)
            )
        except UnmatchedError as e:
            raise QueryError(f"{place}: {e.key}: {e}") from None
    return found


def _form(text: str, place: str) -> ThresholdForm:
    value = scenario_text.value_of(text, "--threshold") if text.lstrip().startswith("{") else text
    try:
        return ThresholdForm.model_validate(value)
    except ValidationError as e:
        fault = e.errors(include_url=False)[0]
        error = fault.get("ctx", {}).get("error")
        known = f" (known: {', '.join(ThresholdForm.model_fields)})" if fault["type"] == "extra_forbidden" else ""
        where = ".".join(str(k) for k in fault["loc"])
        told = str(error) if error is not None else f"{f'{where}: ' if where else ''}{fault['msg']}{known}"
        raise QueryError(f"{place}: {told}") from None
