"""Prices: whose, in which order, and what is refused. genai-prices' figures are its own; that ours are they is what is tested."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console import cli
from generator.charge import cost_nano_usd, price_for
from generator.errors import ScenarioError
from generator.job import Price
from generator.planning import estimate, needs, plan, prices
from generator.planning.price_file import PriceFile
from generator.recording.manifest import begin
from generator.run_dir import RunDir
from generator.scenario import reading
from tests import plans

STEPS = "steps: [{rate: 10/s, duration: 100s}]\n"
FILE = """
["m"]
input = 1
output = 4.0
date = 2026-11-01

["groq:m"]
input = 2
output = 8
cached = 0.5
cache_write = 2.5
tiers = [{above = 1000, input = 3, output = 9}, {above = 2000, cached = 0.7}]
"""


def planned(path: Path, target: str, tail: str = STEPS, flags: dict[str, Any] | None = None) -> plan.Planned:
    (path / "prices.toml").write_text(FILE)
    (path / "s.yaml").write_text(f"seed: 1\ntarget: {target}\n{tail}")
    return plan.make(reading.load(str(path / "s.yaml"), flags or {}, []), "r")


def refused(path: Path, target: str, tail: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        planned(path, target, tail)
    return str(caught.value)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOGETHER", "GROQ", "OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_API_KEY", "k-k-k-k")


# -- where a price comes from ---------------------------------------------------------------------------------------------------


def test_the_scenario_goes_before_the_file(tmp_path: Path) -> None:
    """And what it leaves out stays unknown: one source gives all prices of a target."""
    made = planned(tmp_path, "{url: 'http://h.example/v1', model: m, price_in: $7}", "prices: prices.toml\n" + STEPS)
    found = made.plan.targets["target"]
    assert found.prices == (Price(0, 7.0),)
    assert found.price_source == "the scenario"


def test_the_file_is_asked_by_provider_and_model_then_by_model(tmp_path: Path) -> None:
    """A tier keeps what it does not say of the one that has no threshold; without a date, the file's own counts."""
    tail = "prices: prices.toml\n" + STEPS
    plain = planned(tmp_path, "{url: 'http://h.example/v1', model: m}", tail).plan.targets["target"]
    assert plain.prices == (Price(0, 1.0, 4.0),)
    assert (plain.price_source, plain.price_date) == ("prices.toml: m", "2026-11-01")
    of_groq = planned(tmp_path, "{provider: groq, model: m}", tail).plan.targets["target"]
    assert of_groq.prices == (
        Price(0, 2.0, 8.0, 0.5, 2.5),
        Price(1000, 3.0, 9.0, 0.5, 2.5),
        Price(2000, 2.0, 8.0, 0.7, 2.5),
    )
    assert of_groq.price_source == "prices.toml: groq:m"
    assert len(of_groq.price_date or "") == len("2026-11-01")
    assert planned(tmp_path, "{url: 'http://h.example/v1', model: other}", tail).plan.targets["target"].prices == ()


def test_flags_go_before_both(tmp_path: Path) -> None:
    """--price-in and its like, --prices; amounts with or without a dollar sign."""
    flags = {"price_in": "$1.5", "price_out": "2", "price_cached": "0.1"}
    made = planned(tmp_path, "{url: simulator}", flags=flags).plan.targets["target"]
    assert made.prices == (Price(0, 1.5, 2.0, 0.1),)
    (tmp_path / "mine.toml").write_text('["simulated"]\ninput = 1\n')
    by_file = planned(
        tmp_path, "{url: 'http://h.example/v1', model: simulated}", flags={"prices": str(tmp_path / "mine.toml")}
    )
    assert by_file.plan.targets["target"].prices == (Price(0, 1.0),)


def test_genai_prices_by_provider_and_by_url(tmp_path: Path) -> None:
    """Plain prices, cached input, and tiers as one price each; source and date say whose and when."""
    genai_prices = pytest.importorskip("genai_prices")
    model = "claude-sonnet-4-5"
    found = planned(tmp_path, f"{{provider: anthropic, model: {model}}}").plan.targets["target"]
    for tokens in (1_000, 200_000, 200_001, 500_000):
        usage = genai_prices.Usage(
            input_tokens=tokens, output_tokens=700, cache_read_tokens=300, cache_write_tokens=200
        )
        theirs = genai_prices.calc_price(usage, model, provider_id="anthropic").total_price
        ours = cost_nano_usd(price_for(found.prices, tokens), tokens, 700, 300, 200)
        assert ours == pytest.approx(float(theirs) * 1e9, abs=1)
    assert len(found.prices) > 1
    assert found.price_source == f"genai-prices {genai_prices.__version__}: anthropic/{model}"
    by_url = planned(tmp_path, "{url: 'https://api.openai.com/v1', model: gpt-4o-mini}").plan.targets["target"]
    assert by_url.prices[0].input == pytest.approx(float(genai_prices.calc_price(
        genai_prices.Usage(input_tokens=10**6), "gpt-4o-mini", provider_id="openai").input_price))  # fmt: skip


@pytest.mark.parametrize(
    "target",
    [
        "{url: simulator, model: gpt-4o}",
        "{url: 'http://127.0.0.1:8000/v1', model: gpt-4o}",
        "{url: 'http://10.1.2.3/v1', model: gpt-4o}",
        "{url: 'http://gpu-box:8000/v1', model: gpt-4o}",
        "{url: 'https://llm.corp.internal/v1', model: gpt-4o}",
        "{url: 'https://llm.example.com/v1', model: gpt-4o}",
        "{provider: vllm, model: gpt-4o}",
        "{provider: openai, url: 'http://127.0.0.1:1/v1', model: gpt-4o}",
        "{provider: litellm, model: gpt-4o}",
        "{provider: together, model: no-such-model-anywhere}",
    ],
)
def test_a_name_alone_is_no_price(target: str, tmp_path: Path) -> None:
    """A model at home bears the name of one that is paid for; a gateway's alias may be anything. None of them has a price."""
    assert planned(tmp_path, target).plan.targets["target"].prices == ()


def test_a_gateways_model_named_with_its_provider_has_its_price(tmp_path: Path) -> None:
    """What the gateway pays is what the run costs."""
    pytest.importorskip("genai_prices")
    found = planned(tmp_path, "{provider: litellm, model: openai/gpt-4o-mini}").plan.targets["target"]
    assert "openai/gpt-4o-mini" in (found.price_source or "")


def test_without_the_extra_there_is_no_price_and_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """genai-prices is optional: a run without it has unknown costs, a budget says how to get it."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert planned(tmp_path, "{provider: openai, model: gpt-4o}").plan.targets["target"].prices == ()
    assert "pip install 'openloop[prices]'" in refused(
        tmp_path, "{provider: openai, model: gpt-4o}", "budget: $1\n" + STEPS
    )


# -- the file --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[m]\ninput = ", "not TOML"),
        ("m = 3", "'m': a table is wanted"),
        ("[m]\ninptu = 1", "'m': unknown key 'inptu'; nearest: 'input'"),
        ("[gpt-5.5]\ninput = 1", "'gpt-5': unknown key '5'; a name with a dot in it is written in quotes"),
        ("[m]\ninput = -1", "'m': input: US dollars per million tokens are wanted, such as 0.88, not -1"),
        ("[m]\ninput = true", "not True"),
        ("[m]\ninput = nan", "not nan"),
        ("[m]\ninput = '1'", "not '1'"),
        ("[m]\ncached = 1", "'m': neither input nor output has a price"),
        ("[m]\ninput = 1\ndate = 5", "'m': date: a date is wanted"),
        ("[m]\ninput = 1\ntiers = 5", "'m': tiers: a list is wanted"),
        ("[m]\ninput = 1\ntiers = [5]", "'m': tiers.0: a table is wanted"),
        ("[m]\ninput = 1\ntiers = [{input = 2}]", "'m': tiers.0: above: a number of input tokens is wanted"),
        ("[m]\ninput = 1\ntiers = [{above = 5, input = 2}, {above = 5, input = 3}]", "tiers.1: above"),
        ("[m]\ninput = 1\ntiers = [{above = 5, inptu = 2}]", "tiers.0: unknown key 'inptu'"),
    ],
)
def test_a_wrong_file_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """The error names file, model and key."""
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        PriceFile.read(path)
    assert str(caught.value).startswith(f"prices: {path}: ")
    assert said in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Paths in a scenario are relative to it."""
    assert f"prices: {tmp_path / 'gone.toml'}: no such file" in refused(
        tmp_path, "{url: simulator}", "prices: gone.toml\n" + STEPS
    )


# -- what it costs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("input_tokens", "chosen"), [(0, 1.0), (999, 1.0), (1000, 1.0), (1001, 2.0), (5000, 2.0), (None, None)]
)
def test_a_tier_begins_above_its_threshold(input_tokens: int | None, chosen: float | None) -> None:
    """At the threshold the lower price holds; which tier it is cannot be told without the input's length."""
    tiers = (Price(0, 1.0, 1.0), Price(1000, 2.0, 2.0))
    assert price_for(tiers, input_tokens).input == chosen
    assert price_for(tiers[:1], None).input == 1.0
    assert price_for((), 5).input is None


def test_cost_of_one_request() -> None:
    """600 plain × 3 + 300 cached × 0.3 + 100 written × 3.75 + 200 out × 15, in 10⁻⁶ USD; NULL where a price is missing."""
    price = Price(0, 3.0, 15.0, 0.3, 3.75)
    assert cost_nano_usd(price, 1000, 200, 300, 100) == 5_265_000
    assert cost_nano_usd(Price(0, 3.0, 15.0), 1000, 200, 300, 100) == 6_000_000
    assert cost_nano_usd(Price(0, 3.0), 1000, 200) is None
    assert cost_nano_usd(Price(0, 3.0), 1000, 0) == 3_000_000
    assert cost_nano_usd(Price(0, None, 3.0), 1000, 5) is None
    assert cost_nano_usd(Price(0, 0.0, 0.0), 1000, 5) == 0


def test_the_plan_says_what_it_will_cost(tmp_path: Path) -> None:
    """About 1,000 requests of 512 in at $1 and 128 out at $4; the tier is that of the step's prompts."""
    made = planned(tmp_path, "{url: simulator, price_in: 1, price_out: 4}")
    requests = made.plan.steps[0].planned_arrivals
    assert requests
    assert made.cost.usd == pytest.approx(requests * (512 * 1 + 128 * 4) / 1e6)
    assert made.cost.steps[0].usd_per_request == pytest.approx(1024e-6)
    long = "workload: {input_tokens: 1500}\nprices: prices.toml\n"
    tiered = planned(tmp_path, "{provider: groq, model: m}", long + STEPS)
    assert tiered.cost.steps[0].usd_per_request == pytest.approx((1500 * 3 + 128 * 9) / 1e6)


def test_what_the_target_decides_has_no_estimate(tmp_path: Path) -> None:
    """A closed loop with a duration: a request's price is known, not how many there are. Without a price nothing is."""
    closed = "steps: [{concurrency: 4, duration: 5s}, {concurrency: 4, requests: 10}]\n"
    made = planned(tmp_path, "{url: simulator, price_in: 1, price_out: 4}", closed)
    assert (made.cost.usd, made.cost.steps[0].usd) == (None, None)
    assert made.cost.steps[0].usd_per_request == pytest.approx(1024e-6)
    assert made.cost.steps[1].usd == pytest.approx(10 * 1024e-6)
    assert planned(tmp_path, "{url: simulator}").cost.usd is None


def test_an_estimate_above_the_budget_is_a_warning(tmp_path: Path) -> None:
    """Before anything is sent; one that fits is none."""
    target = "{url: simulator, price_in: 1, price_out: 4}"
    over = planned(tmp_path, target, "budget: $0.10\n" + STEPS)
    assert any("its budget is $0.10: it will stop before its end" in w for w in over.warnings)
    assert not any("budget" in w for w in planned(tmp_path, target, "budget: $10\n" + STEPS).warnings)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "{url: simulator}",
            "target 'target': no price is known for its model at simulator: give price_in and price_out",
        ),
        ("{url: simulator, price_in: 1}", "no price is known"),
        ("{url: simulator, price_out: 1}", "no price is known"),
    ],
)
def test_a_budget_without_a_price_is_refused(target: str, said: str, tmp_path: Path) -> None:
    """It could not be kept: both prices must be known. A budget of nothing sends nothing."""
    error = refused(tmp_path, target, "budget: $1\n" + STEPS)
    assert error.startswith(f"{tmp_path / 's.yaml'}:3: budget: ")
    assert said in error
    assert "a budget of zero sends nothing" in refused(
        tmp_path, "{url: simulator, price_in: 1, price_out: 1}", "budget: 0\n" + STEPS
    )


def test_an_embeddings_budget_needs_no_price_of_output(tmp_path: Path) -> None:
    """There is none."""
    made = planned(tmp_path, "{url: simulator, api: openai-embeddings, price_in: 1}", "budget: $1\n" + STEPS)
    assert made.plan.budget_usd == 1.0


def test_the_manifest_has_prices_with_source_and_date(tmp_path: Path) -> None:
    """And null for a target whose price is not known."""
    targets = {
        "a": plans.target(name="a", prices=(Price(0, 1.0, 2.0),), price_source="mine", price_date="2026-01-02"),
        "b": plans.target(name="b"),
    }
    made = plans.plan(plans.step(target="a"), targets=targets)
    found = begin(made, RunDir(tmp_path))["prices"]
    tier = {"above_tokens": 0, "input": 1.0, "output": 2.0, "cached": None, "cache_write": None}
    assert found == {"a": {"source": "mine", "date": "2026-01-02", "tiers": [tier]}, "b": None}


def test_an_estimate_of_a_mix_prices_each_part() -> None:
    """Three of four requests go to the cheap target: 10 × 16 in and 10 × 4 out, at a mean of ¾ × $1 + ¼ × $2 per million."""
    targets = {n: plans.target(name=n, prices=(Price(0, p, p),)) for n, p in (("t", 1.0), ("u", 2.0))}
    mix = tuple(replace(plans.WORDS, target=name, weight=w) for name, w in (("t", 3.0), ("u", 1.0)))
    made = plans.plan(plans.step(mix=mix, workload=mix[0], planned_arrivals=10), targets=targets)
    need = needs.StepNeeds(0, 10, 1.0, 160.0, 40.0, 1, assumed=False)
    wanted = needs.Needs((need,), 1, 1, 10, 1.0, 160.0, 40.0)
    found = estimate.of(made, wanted)
    assert found.usd == pytest.approx(200 * 1.25e-6)
    assert found.steps[0].usd_per_request == pytest.approx(20 * 1.25e-6)
    unpriced = replace(made, targets=targets | {"u": plans.target(name="u")})
    assert estimate.of(unpriced, wanted).usd is None


def test_the_plans_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`openloop plan` shows price, source, cost of each step and of all beside the budget, warns on stderr, and has it all in JSON."""
    monkeypatch.chdir(tmp_path)
    words = ["plan", "--target", "simulator", "--concurrency", "2,4", "--requests", "1000", "--budget", "$1.50"]
    priced = ["--price-in", "1", "--price-out", "$4", "--price-cached", "0.5"]
    assert cli.main([*words, *priced]) == 0
    shown = capsys.readouterr()
    assert "$1 in, $4 out, $0.5 cached a million (the scenario, " in shown.out
    assert "about $2.05, $0.001 a request; budget $1.50" in shown.out
    assert shown.out.count("$1.02") == 2
    assert "warning: the plan is estimated at $2.05, its budget is $1.50" in shown.err
    assert cli.main([*words, *priced, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cost"]["usd"] == pytest.approx(2.048)
    assert [s["usd"] for s in told["cost"]["steps"]] == pytest.approx([1.024, 1.024])
    assert told["plan"]["budget_usd"] == 1.5
    assert told["plan"]["targets"]["target"]["prices"][0]["output"] == 4.0
    assert cli.main(words) == 2
    assert "no price is known" in capsys.readouterr().err
    assert cli.main(words[:-2]) == 0
    assert "cost         unknown: no price" in capsys.readouterr().out


def test_whose_service_a_url_is() -> None:
    """Loopback, private networks and names without a domain are nobody's service."""
    own = (
        "http://localhost:1",
        "http://[::1]:1/v1",
        "http://192.168.0.1",
        "http://box",
        "http://a.local",
        "http://x.internal",
    )
    assert all(prices._own(url) for url in own)
    assert not any(prices._own(url) for url in ("https://api.openai.com/v1", "http://8.8.8.8/v1"))
