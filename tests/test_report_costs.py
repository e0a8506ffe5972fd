"""Money in the reports: there where a price is known, absent where not, and never a zero for what nobody knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.report import costs, csv, html, text
from tests import fabricate
from tests.report_runs import judged, small

PRICE = {"source": "prices.toml: m", "date": "2026-11-01", "tiers": [
    {"above_tokens": 0, "input": 1.0, "output": 4.0, "cached": None, "cache_write": None},
    {"above_tokens": 200_000, "input": 2.0, "output": 6.0, "cached": 0.2, "cache_write": None},
]}  # fmt: skip


def priced(path: Path, **manifest: Any) -> Any:
    """Two steps of one answer each, $0.003 and $0.006, and a third without usage."""
    money = {"price_input": 1.0, "price_output": 4.0, "input_tokens": 1000}
    answers = [
        fabricate.answer(0, output_tokens=500, **money),
        fabricate.answer(0, step_id=1, output_tokens=1250, **money),
        fabricate.answer(1, step_id=1, output_tokens=4, token_source="chunks", **money),
    ]
    return fabricate.write(
        path,
        steps=[fabricate.step(0), fabricate.step(1, start_ns=fabricate.START_NS + 20 * fabricate.S)],
        requests=[row for row, _ in answers],
        tokens=[token for _, tokens in answers for token in tokens],
        prices={"target": PRICE},
        **manifest,
    )


def test_costs_are_in_every_form(tmp_path: Path) -> None:
    """JSON has dollars as numbers; text, CSV and HTML show them with their prices, whose they are and what they leave out."""
    con, report, manifest = judged(priced(tmp_path / "r"))
    assert report["totals"]["cost"]["usd"] == pytest.approx(0.009)
    assert report["totals"]["cost"]["unknown_requests"] == 1
    assert [s["cost"]["usd"] for s in report["steps"]] == pytest.approx([0.003, 0.006])
    assert report["steps"][0]["cost"]["usd_per_million_output_tokens"] == pytest.approx(6.0)
    assert report["steps"][1]["cost"]["usd_per_ok_request"] is None
    assert report["run"]["targets"][0]["price"] == PRICE
    for rendered in (text.render(report), html.render(con, report, manifest)):
        plain = " ".join(rendered.split())
        assert "$0.00900 in all" in plain
        assert "$1 in, $4 out per million tokens; $2 in, $6 out, $0.2 cached above 200,000 input tokens" in plain
        assert "prices.toml: m, 2026-11-01" in plain
        assert "1 request was sent at a cost that is not known" in plain
    assert ",0.003," in csv.render(report)
    con.close()


def test_without_a_price_nothing_is_said_of_money(tmp_path: Path) -> None:
    """No table, no zero, no heading; in JSON the keys are there, and null."""
    con, report, manifest = judged(small(tmp_path / "r"))
    assert report["totals"]["cost"]["usd"] is None
    assert report["run"]["targets"][0]["price"] is None
    for rendered in (text.render(report), html.render(con, report, manifest)):
        assert "$" not in rendered.partition("<script>")[0]
    con.close()


def test_prices_without_usage_cost_what_nobody_knows(tmp_path: Path) -> None:
    """A run whose answers tell no usage: that its cost is unknown is said, no figure is."""
    row, chunks = fabricate.answer(0, token_source="chunks", price_input=1.0, price_output=4.0)
    run = fabricate.write(
        tmp_path / "r", steps=[fabricate.step(0)], requests=[row], tokens=chunks, prices={"target": PRICE}
    )
    con, report, manifest = judged(run)
    for rendered in (text.render(report), html.render(con, report, manifest)):
        plain = " ".join(rendered.split())
        assert "what the run cost is not known" in plain
        assert "1 request was sent at a cost that is not known" in plain
        assert "10⁶ output tokens" not in plain
    con.close()


def test_a_budget_that_stopped_the_run_is_told(tmp_path: Path) -> None:
    """With what was spent, and what of it is a guess."""
    budget = {"limit_usd": 0.01, "spent_usd": 0.009, "guessed_usd": 0.002, "stopped": True}
    con, report, _ = judged(priced(tmp_path / "r", budget=budget))
    con.close()
    assert report["run"]["budget"] == budget
    assert "stopped by its budget of $0.01: $0.0110 was spent, $0.00200 of it a guess" in text.render(report)


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (None, "–"),
        (0, "$0.00"),
        (1234.5, "$1,234.50"),
        (1, "$1.00"),
        (0.5, "$0.500"),
        (0.0123, "$0.0123"),
        (2e-7, "$0.000000200"),
    ],
)
def test_dollars(usd: float | None, shown: str) -> None:
    """Cents from a dollar on, three digits below; unknown is a dash."""
    assert costs.dollars(usd) == shown
