"""The queue: one at a time per target, in order, stopped when asked, and none forgotten when the service or the machine goes away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from services import LONG, QUICK, client, one, over, reached, served, settings, submitted
from whole_runs import until

from console.web import runs
from console.web.catalogue.store import Store
from console.web.catalogue.tables import BenchmarkRow
from console.web.settings import Limits
from console.web.states import NEXT, OVER, Event, State


def test_the_states_form_a_life() -> None:
    """Everything begins queued, can come to each end, and what is over stays as it is."""
    assert {State.COMPLETED, State.FAILED, State.STOPPED, State.INTERRUPTED} == OVER
    reachable = {State.QUEUED}
    for _ in State:
        reachable |= {to for (state, _), to in NEXT.items() if state in reachable}
    assert reachable == set(State)
    assert not [event for state, event in NEXT if state in OVER]
    assert {event for _, event in NEXT} == set(Event)


def test_one_at_a_time_of_a_target_and_first_come_first_served(tmp_path: Path) -> None:
    """The second waits for the first, with its place in the queue; another target does not wait."""
    with client(settings(tmp_path, at_once=3)) as c:
        first = submitted(c, scenario=LONG, name="a")
        reached(c, first, "running")
        second = submitted(c, scenario=QUICK, name="b")
        third = submitted(c, scenario=QUICK, name="c")
        elsewhere = submitted(c, model="m", prompts=["x"], target="http://127.0.0.1:9/v1", name="d")
        assert over(c, elsewhere)["state"] == "failed", "nobody answers there, and it did not wait for the simulator"
        assert [one(c, i)["state"] for i in (first, second, third)] == ["running", "queued", "queued"]
        assert [one(c, i)["position"] for i in (first, second, third)] == [None, 0, 1]
        assert c.post(f"/benchmarks/{third}/stop").json()["state"] == "stopped"
        assert c.post(f"/benchmarks/{third}/stop").status_code == 409
        assert c.post(f"/benchmarks/{first}/stop").status_code == 202
        found = over(c, first)
        assert (found["state"], found["error"]) == ("stopped", None)
        assert found["summary"]["requests"] > 0, "what was measured before the stop is kept"
        assert over(c, second)["state"] == "completed"


def test_a_run_that_nobody_answers_fails_with_words(tmp_path: Path) -> None:
    """State failed, an exit code and an error that names the target."""
    with client(settings(tmp_path)) as c:
        found = over(c, submitted(c, model="m", prompts=["x"], target="http://127.0.0.1:9/v1"))
    assert (found["state"], found["exit_code"]) == ("failed", 4)
    assert found["error"]


def test_the_queue_has_an_end(tmp_path: Path) -> None:
    """Above its length a submission is refused with 429, and told when to come again."""
    with client(settings(tmp_path, limits=Limits(queue=1))) as c:
        going = submitted(c, scenario=LONG, name="a")
        reached(c, going, "running")
        waiting = submitted(c, scenario=LONG, name="b")
        refused = c.post("/benchmarks", json={"scenario": LONG})
        assert refused.status_code == 429
        assert refused.headers["retry-after"]
        for benchmark_id in (waiting, going):
            c.post(f"/benchmarks/{benchmark_id}/stop")
        over(c, going)


def test_a_run_whose_process_is_killed_is_sealed_and_marked(tmp_path: Path) -> None:
    """The service lives on: what was recorded is sealed and judged, the state says interrupted, the next one runs."""
    with served(tmp_path) as s:
        cut = submitted(s.client, scenario=LONG, name="cut")
        behind = submitted(s.client, scenario=QUICK, name="behind")
        until(lambda: sent(s.client, cut) > 20, "some requests")
        for process in s.children("console.web.child"):
            process.kill()
        found = over(s.client, cut)
        assert found["state"] == "interrupted"
        assert "cut off" in found["error"]
        assert found["summary"]["requests"] > 0
        assert over(s.client, behind)["state"] == "completed"


def sent(c: Any, benchmark_id: str) -> int:
    """How many requests were sent so far, by /metrics."""
    wanted = f'openloop_requests_sent_total{{run="{benchmark_id}"'
    lines = [line for line in c.get("/metrics").text.splitlines() if line.startswith(wanted)]
    return int(float(lines[0].rpartition(" ")[2])) if lines else 0


@pytest.mark.parametrize("orphan_lives", [True, False])
def test_a_killed_service_finds_everything_again(tmp_path: Path, orphan_lives: bool) -> None:
    """SIGKILL during a run: the next service finds it sealed or seals it, marks it interrupted, and goes on with the queue in order.

    The run's process either drains by itself, because its input closed, or was killed with the service, as by a power cut.
    """
    with served(tmp_path) as s:
        cut = submitted(s.client, scenario=LONG, name="cut", tags=["kept"])
        waiting = [submitted(s.client, scenario=QUICK, name=f"waiting-{n}") for n in range(2)]
        until(lambda: sent(s.client, cut) > 20, "some requests")
        left = s.children("console.web.child")
        assert len(left) == 1
        s.kill()
        if not orphan_lives:
            left[0].kill()
    with served(tmp_path) as s:
        found = over(s.client, cut)
        assert found["state"] == "interrupted"
        assert found["tags"] == ["kept"]
        assert found["summary"]["requests"] > 10
        assert found["verdict"] in ("VALID", "INVALID")
        assert (tmp_path / "runs" / cut / "requests.parquet").exists()
        ends = [over(s.client, benchmark_id) for benchmark_id in waiting]
        assert [e["state"] for e in ends] == ["completed", "completed"]
        assert ends[0]["ended"] <= ends[1]["started"]
        assert not left[0].is_running()


def test_a_service_that_is_told_to_end_lets_runs_seal(tmp_path: Path) -> None:
    """SIGTERM: the run drains and seals within the service's own end; afterwards it is interrupted and readable."""
    with served(tmp_path) as s:
        going = submitted(s.client, scenario=LONG, name="going")
        until(lambda: sent(s.client, going) > 5, "some requests")
        s.process.terminate()
        s.process.wait(60)
        assert (tmp_path / "runs" / going / "requests.parquet").exists()
    with served(tmp_path) as s:
        assert over(s.client, going)["state"] == "interrupted"
        assert one(s.client, going, size=1)["results"]["total"] > 0


def test_an_end_that_could_not_be_kept_is_kept_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away when a run ends costs a moment, not the benchmark and not its place in the queue."""
    with client(settings(tmp_path)) as c:
        store = c.app.state.service.store
        move, failed = store.move, []

        def away(benchmark_id: str, event: Event, **values: Any) -> bool:
            if event is Event.END and not failed:
                failed.append(benchmark_id)
                raise OSError("the database is away")
            return bool(move(benchmark_id, event, **values))

        monkeypatch.setattr(store, "move", away)
        benchmark_id = submitted(c, scenario=QUICK, name="a")
        assert over(c, benchmark_id)["state"] == "completed"
        assert failed == [benchmark_id]
        until(lambda: not c.app.state.service.queue.running(), "nothing that is thought to run")


def test_what_began_meanwhile_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at its state and the deletion its turn may come: then it is refused, not pulled from under its process."""
    with client(settings(tmp_path)) as c:
        going = submitted(c, scenario=LONG, name="a")
        reached(c, going, "running")
        waiting = submitted(c, scenario=LONG, name="b")
        monkeypatch.setattr(c.app.state.service.queue, "withdraw", lambda _: False)
        assert c.delete(f"/benchmarks/{waiting}").status_code == 409
        monkeypatch.undo()
        assert c.delete(f"/benchmarks/{waiting}").status_code == 204
        c.post(f"/benchmarks/{going}/stop")
        over(c, going)


def test_what_waited_is_admitted_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart with other options: what these do not allow fails with the reason before anything is sent; what they do allow runs."""
    monkeypatch.setenv("OURS", "value-of-OURS")
    elsewhere = {"url": "http://127.0.0.1:9/v1", "model": "m"}
    step = {"workload": {"input_tokens": 1, "output_tokens": 1}, "steps": [{"concurrency": 1, "requests": 1}]}
    with client(settings(tmp_path, at_once=1, allow_env=("OURS",))) as c:
        going = submitted(c, scenario=LONG, name="going")
        reached(c, going, "running")
        refused = {
            "--allow-target": submitted(c, scenario={"target": elsewhere} | step),
            "--allow-env OURS": submitted(c, scenario={"target": elsewhere | {"api_key": "${OURS}"}} | step),
            "requests are more": submitted(c, scenario=QUICK | {"steps": [{"concurrency": 2, "requests": 600}]}),
        }
        good = submitted(c, scenario=QUICK)
    with client(settings(tmp_path, allow_targets=("other.example",), limits=Limits(requests=500))) as c:
        assert over(c, good)["state"] == "completed"
        for word, benchmark_id in refused.items():
            found = over(c, benchmark_id)
            assert found["state"] == "failed"
            assert "not admitted any more" in found["error"]
            assert word in found["error"]
            assert str(tmp_path) not in found["error"], "where the service keeps things is nobody's business"
            assert not (tmp_path / "runs" / benchmark_id).exists()
            assert benchmark_id not in c.app.state.service.store.not_figured(10), "nothing is left to find out"


@pytest.mark.parametrize(
    ("said", "asked", "state", "error"),
    [
        ({"code": 0, "error": None, "interrupted": False}, False, "completed", None),
        ({"code": 3, "error": None, "interrupted": False}, True, "completed", None),
        ({"code": 4, "error": None, "interrupted": False}, False, "failed", "no request succeeded"),
        ({"code": 130, "error": None, "interrupted": True}, True, "stopped", None),
        ({"code": 130, "error": None, "interrupted": True}, False, "interrupted", "cut off before its end"),
        ({"verdict": "VALID"}, False, "interrupted", "ended before anything was recorded"),
        (None, False, "interrupted", "ended before anything was recorded"),
    ],
)
def test_what_ended_while_no_service_lived_ends_as_it_said(
    tmp_path: Path, said: dict[str, Any] | None, asked: bool, state: str, error: str | None
) -> None:
    """A run that only its judgement was left of is what it would have been; only one that broke off is interrupted."""
    of = settings(tmp_path)
    folder = of.own_dir / "benchmarks" / "left"
    folder.mkdir(parents=True)
    store = Store(of.url_of_database())
    store.add(BenchmarkRow(id="left", name="n", state=State.RUNNING, origin="api", created_ms=1, stop_asked=asked))
    store.close()
    if said is not None:
        (folder / "end.json").write_text(json.dumps(said))
    with client(of) as c:
        found = over(c, "left")
    assert found["state"] == state
    assert (error is None and found["error"] is None) or (error is not None and error in found["error"])


def test_what_could_not_be_started_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps its process from starting, it fails with the reason, and can be deleted; the next one runs."""
    run = runs.run

    def broken(*given: Any) -> Any:
        monkeypatch.setattr(runs, "run", run)
        raise ValueError("embedded null byte")

    monkeypatch.setattr(runs, "run", broken)
    with client(settings(tmp_path, at_once=1)) as c:
        first, second = submitted(c, scenario=QUICK), submitted(c, scenario=QUICK)
        found = over(c, first)
        assert (found["state"], found["error"]) == ("failed", "its process could not be started: ValueError")
        assert c.delete(f"/benchmarks/{first}").status_code == 204
        assert over(c, second)["state"] == "completed"


def test_what_runs_without_a_process_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that goes away just after it said running costs that benchmark, and not until a restart."""
    with client(settings(tmp_path)) as c:
        store = c.app.state.service.store
        move = store.move

        def away(benchmark_id: str, event: Event, **values: Any) -> bool:
            moved = bool(move(benchmark_id, event, **values))
            if event is Event.START:
                monkeypatch.setattr(store, "move", move)
                raise OSError("the database is away")
            return moved

        monkeypatch.setattr(store, "move", away)
        lost = submitted(c, scenario=QUICK)
        assert over(c, lost)["state"] == "interrupted"
        assert c.delete(f"/benchmarks/{lost}").status_code == 204


def test_a_reason_is_not_overwritten(tmp_path: Path) -> None:
    """What the librarian finds out of a failed run's folder does not take the place of why it failed; without a folder it is not asked."""
    with client(settings(tmp_path, allow_targets=("127.0.0.1:9",))) as c:
        service = c.app.state.service
        failed = over(c, submitted(c, scenario=QUICK | {"target": {"url": "http://127.0.0.1:9/v1", "model": "m"}}))
        service.librarian._figure(failed["id"])
        assert one(c, failed["id"])["error"] == failed["error"]
        row = BenchmarkRow(id="gone", name="n", state=State.FAILED, origin="api", created_ms=1, error="its own reason")
        service.store.add(row)
        until(lambda: service.store.not_figured(10) == [], "the librarian's looks")
        assert one(c, "gone")["error"] == "its own reason"
