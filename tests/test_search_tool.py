"""``openloop search`` as a person meets it: its folder, its reports, killed and resumed, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import search_targets

from analysis import database
from analysis.report import search_html, searched
from analysis.searching import answer, observe
from analysis.searching.part import Done, Goal, Limits, Order
from console import cli, exits
from console.searching import asked, driving, opening, runs, state
from generator import machine
from generator.errors import RunFolderError, ScenarioError
from generator.names import USUAL_ATTAINMENT
from generator.scenario import reading
from tests import fabricate

PROGRAM = "import sys; from console.cli import main; sys.exit(main(sys.argv[1:]))"

SCENARIO = """
target:
  url: simulator
  simulator: {ttft: 100ms, itl: 5ms, concurrency: 4, jitter: 0}
workload: {input_tokens: 16, output_tokens: 4}
steps:
  - {arrivals: poisson, rate: 5/s, duration: 5s}
slo: {ttft: 1s, attainment: 90%}
"""

NOTHING = dict.fromkeys(
    (
        "axis",
        "from",
        "to",
        "precision",
        "confidence",
        "probe_duration",
        "warmup",
        "pause",
        "max_requests",
        "max_time",
        "budget",
        "retries",
    )
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "limited.yaml"
    path.write_text(SCENARIO)
    return path


def asks(**given: str) -> dict[str, str | None]:
    return NOTHING | given


def load(path: Path, *sets: str) -> reading.Scenario:
    return reading.load(str(path), {}, list(sets))


# -- what is asked for -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["slo="], "no slo"),
        (["slo.attainment=100%"], "cannot be searched for"),
        (["matrix={output_tokens: [4, 8]}", "workload={input_tokens: 16}"], "one load to vary"),
        (["steps=[{rate: 1/s, duration: 5s}, {rate: 1/s, duration: 5s, output_tokens: 9}]"], "differ in more"),
        (["targets={a: {url: simulator}, b: {url: simulator}}", "target="], "of one target"),
    ],
)
def test_what_has_no_single_load_to_vary_is_refused(file: Path, sets: list[str], message: str) -> None:
    """The message says why, before a folder is made."""
    with pytest.raises(ScenarioError, match=message):
        asked.goal_of(load(file, *sets), asks())


def test_an_attainment_that_is_not_said_is_the_same_for_all_and_told(file: Path) -> None:
    """99 %, for a search as for goodput, from one place; the answer says that it was assumed, and nothing where it was said."""
    assert asked.goal_of(load(file, "slo={ttft: 1s}"), asks()).target == USUAL_ATTAINMENT == 0.99
    goal = Goal("rate", USUAL_ATTAINMENT, 3)
    about = {"search_id": "s", "name": "n", "created": "", "folder": "f", "seed": 3, "target": ""}
    notes = answer.build(goal, Limits(), [], "nothing", about | {"slo": {"ttft_ms": 1000.0}})["notes"]
    assert [n for n in notes if "0.99 of them is assumed" in n]
    said = answer.build(goal, Limits(), [], "nothing", about | {"slo": {"ttft_ms": 1000.0, "attainment": 0.99}})
    assert said["notes"] == []


def test_a_trace_has_nothing_to_search_for(tmp_path: Path, file: Path) -> None:
    """Its arrivals are its own."""
    (tmp_path / "t.csv").write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n0,5,5\n1,5,5\n")
    step = f"steps=[{{trace: {{file: {tmp_path / 't.csv'}}}}}]"
    with pytest.raises(ScenarioError, match="a trace has its own arrivals"):
        asked.goal_of(load(file, step), asks())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"from": "10/s", "to": "5/s"}, "below the second"),
        ({"from": "10"}, "--from"),
        ({"axis": "concurrency", "to": "3.5"}, "whole number"),
        ({"precision": "0%"}, "without either"),
        ({"probe_duration": "0s"}, "above 0"),
        ({"probe_duration": "soon"}, "--probe-duration"),
    ],
)
def test_bad_bounds_and_units_are_refused(file: Path, given: dict[str, str], message: str) -> None:
    """Every message names the flag."""
    with pytest.raises(ScenarioError, match=message):
        asked.goal_of(load(file), asks(**given))


def test_warnings_are_told_but_for_those_of_a_made_up_load(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a plan warns of holds for every probe, whatever words and steps it names, except where it rests on the load that was made up to
    make one: too few requests, a limit that such a staircase would not show."""
    monkeypatch.setattr(machine, "look", lambda: machine.Machine(10**6, 10**6, 60_000, 0, 2.0, None))
    sets = ["workload.input_tokens=3", "probe=0", "workers=999", "expected_limit={rate: 10/s, size: 60}"]
    warnings = opening.anew(str(file), {}, sets, asks(), tmp_path / "runs", "s")[2].warnings
    assert [w for w in warnings if "prompts may be too short" in w]
    assert [w for w in warnings if "999 workers share" in w]
    assert [w for w in warnings if w.startswith("probe: 0 leaves out")]
    assert not [w for w in warnings if "too few requests" in w or "expected limit" in w]


def test_limits_are_read_with_their_units() -> None:
    """`none` takes a limit away, what is not said stays."""
    was = Limits(usd=3.0)
    found = asked.limits_of(asks(max_requests="5000", max_time="none", retries="0"), was)
    assert found == Limits(requests=5000, time_s=None, usd=3.0, retries=0)
    assert asked.limits_of(asks(max_time="2h", budget="$5"), was) == Limits(time_s=7200, usd=5.0)


def test_what_is_told_first_says_how_long_a_probe_takes() -> None:
    """At a low load longer than --probe-duration: eight times twice the requests that would prove the target without a miss."""
    assert "at most 240 s, or as long as 10,656 requests" in asked.told(Goal("rate", 0.99, 1), Limits())


def test_the_step_keeps_its_pattern(file: Path) -> None:
    """Law of the gaps and lengths are the scenario's; load, length and warm-up the search's; a ladder's rung is a closed loop by number."""
    base = load(file, "steps=[{arrivals: gamma, rate: 9/s, burstiness: 0.5, duration: 5s, output_tokens: 7}]")
    goal = asked.goal_of(base, asks())
    step = runs.step_of(base, goal, Order("probe", 52.1, 2, 1, 9, window_s=30.0, warmup_s=6.0))
    made = asked.scenario_of(base, "p", 9, step, None).form.steps[0]
    assert (made.arrivals, made.burstiness, made.rate and made.rate.start_rps) == ("gamma", 0.5, 52.1)
    assert (made.duration, made.warmup) == (36_000_000_000, 6_000_000_000)
    assert made.output_tokens is not None
    rung = runs.step_of(base, goal, Order("ladder", 8, 0, 0, 9, requests=128))
    closed = asked.scenario_of(base, "p", 9, rung, None).form
    assert closed.arrivals_of(closed.steps[0]) == "closed"
    assert closed.steps[0].requests == 128


# -- the driver, on a target that is a curve ----------------------------------------------------------------------------------------


class Stand:
    """In place of runs: each order is answered by a curve; ``die`` raises before that many orders were run."""

    def __init__(self, curve: search_targets.Curve, die: int | None = None, bad: int = 0) -> None:
        self.curve, self.die, self.bad = curve, die, bad
        self.orders: list[Order] = []

    def step(self, base: Any, folder: Path, known: state.State, order: Order, watching: Any) -> state.State:
        known = known.begin(f"{known.search_id}-{len(known.runs):03d}")
        state.write(folder, known)
        if self.die is not None and len(self.orders) == self.die:
            raise KeyboardInterrupt
        self.orders.append(order)
        done = search_targets.run(order, self.curve, len(known.runs))
        if self.bad:
            self.bad -= 1
            done = dataclasses.replace(done, reasons=("late",))
        known = known.finish(done)
        state.write(folder, known)
        return known


def driven(monkeypatch: pytest.MonkeyPatch, stand: Stand, opened: opening.Opened) -> state.State:
    monkeypatch.setattr(driving, "_run", stand.step)
    base, folder, known = opened
    return driving.search(base, folder, known, watching=lambda _: None, say=lambda _: None)  # type: ignore[arg-type, return-value] # nobody watches a curve


def opened(file: Path, tmp_path: Path, **given: str) -> opening.Opened:
    flags = asks(probe_duration="600s", max_time="none", **given)
    return opening.anew(str(file), {"seed": "5"}, [], flags, tmp_path / "runs", "s")


def test_a_search_that_dies_anywhere_goes_on_where_it_was(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before each of its runs in turn: resumed, it repeats no finished run and comes to the same answer."""
    curve = search_targets.knee(50)
    whole = Stand(curve)
    end = driven(monkeypatch, whole, opened(file, tmp_path / "whole"))
    assert end.end == "found"
    for die in range(0, len(whole.orders), 3):
        place = tmp_path / f"die-{die}"
        first, second = Stand(curve, die), Stand(curve)
        with pytest.raises(KeyboardInterrupt):
            driven(monkeypatch, first, opened(file, place))
        again = driven(monkeypatch, second, opening.again("s", None, {}, [], asks(), place / "runs"))
        assert first.orders + second.orders == whole.orders
        assert again.runs == end.runs


def test_an_invalid_probe_ends_with_exit_code_3(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own failure, again and again, is told as that; resumed on a quieter machine the search goes on."""
    bounds = {"from": "10/s", "to": "90/s"}
    end = driven(monkeypatch, Stand(search_targets.knee(50), bad=3), opened(file, tmp_path, **bounds))
    assert (end.end, driving.code_of(end)) == ("invalid", exits.INVALID)
    found = driving.found(tmp_path / "runs" / "s", end)
    assert found["load"] is None
    assert len(found["invalid"]) == 3
    assert "says nothing of the target" in searched.render(found)
    assert (
        driven(
            monkeypatch,
            Stand(search_targets.knee(50)),
            opening.again("latest", None, {}, [], asks(), tmp_path / "runs"),
        ).end
        == "found"
    )


def test_a_limit_is_told_with_the_bracket_and_may_be_raised(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by its number of requests: exit code 99 and what it has; with more it ends."""
    stand = Stand(search_targets.knee(50))
    end = driven(monkeypatch, stand, opened(file, tmp_path, max_requests="60000"))
    assert (end.end, driving.code_of(end)) == ("requests", exits.THRESHOLD)
    assert "--max-requests" in searched.render(driving.found(tmp_path, end))
    more = opening.again("s", str(file), {}, [], asks(max_requests="none"), tmp_path / "runs")
    assert driven(monkeypatch, Stand(search_targets.knee(50)), more).end == "found"


def test_a_search_is_resumed_as_it_began_or_not_at_all(file: Path, tmp_path: Path) -> None:
    """Another scenario, another seed, another precision: errors that say so. The same ones, and limits, are taken."""
    opened(file, tmp_path)
    again = lambda source, flags, **given: opening.again("s", source, flags, [], asks(**given), tmp_path / "runs")  # noqa: E731 - three lines of setup for six calls
    assert again(None, {}).__getitem__(2).forgiven == 0
    assert again(str(file), {}, probe_duration="600s", max_time="1h")[2].limits.time_s == 3600
    with pytest.raises(ScenarioError, match="--precision 3%: the search began with"):
        again(None, {}, precision="3%")
    with pytest.raises(ScenarioError, match="not the one that search s began with"):
        again(None, {"seed": "6"})
    file.write_text(SCENARIO.replace("1s", "2s"))
    with pytest.raises(ScenarioError, match="not the one that search s began with"):
        again(str(file), {})


def test_folders_that_are_no_search_are_told(file: Path, tmp_path: Path) -> None:
    """Missing, taken, or damaged: the place and what to do."""
    _, folder, _ = opened(file, tmp_path)
    with pytest.raises(RunFolderError, match=r"no such search in .*the newest there: s"):
        state.find("t", tmp_path / "runs")
    with pytest.raises(RunFolderError, match="exists"):
        opened(file, tmp_path)
    _, other, _ = opening.anew(str(file), {}, [], asks(), tmp_path / "runs", "other")
    state.path_of(folder).write_text("{")
    with pytest.raises(RunFolderError, match="damaged"):
        state.read(folder)
    assert state.find("other", tmp_path / "runs") == state.find("latest", tmp_path / "runs") == other


def test_state_comes_back_as_it_was(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is what is read, runs and all."""
    end = driven(monkeypatch, Stand(search_targets.knee(50)), opened(file, tmp_path))
    assert state.read(tmp_path / "runs" / "s") == end


# -- what it says -------------------------------------------------------------------------------------------------------------------


def answered(curve: search_targets.Curve, **changes: Any) -> dict[str, Any]:
    goal = dataclasses.replace(Goal("rate", 0.95, 3, probe_s=600.0), **changes)
    end, done = search_targets.search(goal, Limits(time_s=None), curve)
    about = {"search_id": "s", "name": "<b>x</b>", "created": "2026-11-22T00:00:00Z", "folder": "runs/s", "seed": 3}
    return answer.build(goal, Limits(), done, end.end, about | {"slo": {"ttft_ms": 500.0}, "target": "m at <u>"})


def test_a_cliff_is_told_and_not_interpolated() -> None:
    """All good below 40/s, hardly any above: two neighbours wildly apart."""
    found = answered(lambda load: 0.999 if load < 40 else 0.2)
    assert found["cliff"]["below"] < 40 <= found["cliff"]["above"]
    assert found["cliff"]["above"] / found["cliff"]["below"] < 1.06
    assert "A cliff" in searched.render(found)
    assert answered(search_targets.knee(50, 0.2))["cliff"] is None


def test_a_cliff_is_between_neighbours_alone() -> None:
    """1/s and 1.9/s are no neighbours, one rate being nearly twice the other; 1 slot and 2 are, for there is nothing between them."""
    probes = [
        {"load": load, "verdict": "accepted", "low": share - 0.01, "high": share + 0.01, "attainment": share}
        for load, share in ((1.0, 0.99), (1.9, 0.2), (2.0, 0.2))
    ]
    assert answer.cliff(Goal("rate", 0.95, 3), probes) is None
    told = answer.cliff(Goal("concurrency", 0.95, 3), [probes[0], probes[2]])
    assert told is not None
    assert (told["below"], told["above"]) == (1, 2)


def trial(load: float, misses: int, number: int) -> Done:
    held = search_targets.sample(
        search_targets.np.repeat([2.0, 0.5], [misses, 4000 - misses]), search_targets.np.ones(9)
    )
    held = dataclasses.replace(held, inflation=1.0)
    return Done(f"r{number}", "probe", load, number, 0, held, 4000, 1.0)


def test_what_is_not_monotone_is_told() -> None:
    """Rejected at 30/s, accepted at 40/s: the answer stays below 30/s and says why."""
    goal = Goal("rate", 0.95, 3, low=10.0, high=60.0)
    runs_of = [trial(20, 0, 0), trial(30, 2000, 1), trial(40, 0, 2)]
    about = {"search_id": "s", "name": "n", "created": "", "folder": "f", "seed": 3, "slo": {}, "target": ""}
    found = answer.build(goal, Limits(), runs_of, None, about)
    assert (found["load"], found["not_accepted"]) == (20, 30)
    assert any("not monotone: 40/s was accepted and 30/s rejected" in note for note in found["notes"])


def test_what_cannot_be_told_is_undecided_with_what_it_would_take() -> None:
    """At the limit itself: an undecided bar, and a probe of how many times the length would tell."""
    found = answered(search_targets.knee(50, 0.1), probe_s=60.0)
    assert any(p["verdict"] == "undecided" for p in found["probes"])
    text = searched.render(found)
    assert "undecided" in text
    assert found["load"] < found["not_accepted"]


def test_the_page_is_whole_and_escaped() -> None:
    """One file that loads nothing, with both pictures, and names that are markup shown as text."""
    page = search_html.render(answered(search_targets.knee(50)))
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert page.count("<svg") >= 5
    assert "light-dark(" in page
    assert not any(word in page for word in ('src="http', 'href="http', "@import", "url(http"))


def test_the_page_of_a_search_that_found_nothing() -> None:
    """No probe, no picture, and no fault."""
    about = {"search_id": "s", "name": "n", "created": "", "folder": "f", "seed": 3, "slo": {}, "target": ""}
    found = answer.build(Goal("rate", 0.95, 3), Limits(), [], "nothing", about)
    assert "Nothing was probed" in search_html.render(found)
    assert "answered nothing" in searched.render(found)


def test_errors_come_out_as_messages(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and a line that names the fix."""
    words = ["search", str(file), "--runs-dir", str(tmp_path), "--set", "slo="]
    assert cli.main(words) == exits.WRONG
    assert "no slo: a search needs one to meet" in capsys.readouterr().err
    assert cli.main(["search", "--resume", "x", "--runs-dir", str(tmp_path)]) == exits.WRONG
    assert "no such search" in capsys.readouterr().err


def test_what_was_dropped_is_a_miss_and_no_backlog(tmp_path: Path) -> None:
    """Dropped arrivals were never in flight: counted there for ever, a few of them looked like a queue that grows."""
    never = {"outcome": "dropped", "sent_ns": None, "first_byte_ns": None, "headers_ns": None, "done_ns": None}
    rows = [fabricate.request(n, at_ms=100.0 * n, **(never if n % 20 == 19 else {})) for n in range(400)]
    run = fabricate.write(tmp_path / "run", steps=[fabricate.step(0, duration_s=40.0)], requests=rows)
    with database.open_runs([run]) as connection:
        sample, flow, due = observe.observe(connection)
    assert (due, sample.misses, sample.growing) == (400, 20, False)
    assert flow.in_flight == pytest.approx(0.95, rel=0.02)
