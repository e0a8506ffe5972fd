"""Boxes: how many work, how many wait, and what those hear who find no place."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from report_runs import compared
from services import client, settings
from whole_runs import until

from console.web import box, capacity, redaction
from console.web.box import Answer, Boxes, BusyError
from console.web.settings import Limits


def test_who_finds_no_place_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One works and some wait; the next is refused without waiting, so that threads are left for quick answers."""
    free = threading.Event()

    def work(*_: Any) -> Answer:
        assert free.wait(30)
        return Answer({}, b"")

    monkeypatch.setattr(box, "_run", work)
    boxes = Boxes(1)
    done: list[Answer] = []

    def ask() -> None:
        done.append(boxes.ask({"op": "query"}, limit_s=1, memory_bytes=1, maps_bytes=None, answer_bytes=1))

    threads = [threading.Thread(target=ask) for _ in range(1 + box._WAITING)]
    for thread in threads:
        thread.start()
    until(lambda: boxes._places._value == 0, "all places taken")
    with pytest.raises(BusyError):
        ask()
    free.set()
    for thread in threads:
        thread.join()
    assert len(done) == len(threads)
    ask()


def test_what_holds_too_much_is_ended() -> None:
    """A box that reserves no more than it may is looked at all the same; what it is told names the limit and where there is none."""
    with pytest.raises(box.ExceededError, match=r"20 MB.*openloop report"):
        Boxes(1).ask(
            {"op": "query", "path": "/nonexistent"},
            limit_s=60,
            memory_bytes=20_000_000,
            maps_bytes=None,
            answer_bytes=1000,
        )


@pytest.mark.parametrize("total_gb", [2, 4, 7.9, 8, 24, 512])
def test_a_machine_of_any_size_holds_them(total_gb: float) -> None:
    """As many queries and reports as are made at once, each at its limit, leave a tenth of the memory; and each has what the smallest needs."""
    total = int(total_gb * 1e9)
    query = capacity.query_bytes(total)
    taken = capacity.at_once(total) * (capacity.resident_bytes(query) + capacity.report_bytes(total))
    assert taken < 0.9 * total
    assert query >= 128_000_000
    assert capacity.report_bytes(total) >= 1_000_000_000
    assert capacity.report_bytes(total) <= 4_000_000_000


@pytest.mark.parametrize(("name", "text", "less"), [("memory.max", "1000000000\n", True), ("memory.max", "max\n", False), ("memory/memory.limit_in_bytes", "1000000000", True), ("none", "1", False)])  # fmt: skip
def test_a_container_has_what_it_was_given(tmp_path: Path, name: str, text: str, less: bool) -> None:
    """The control group's limit, of either version, where it is less than the machine has."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert (capacity.total_bytes(tmp_path) == 1_000_000_000) is less


def test_who_waits_for_a_report_in_vain_is_told_when_to_come_again(tmp_path: Path) -> None:
    """Reports at most so many at once: 503 with Retry-After. Queries have a place of their own."""
    run = compared(tmp_path / "runs" / "run-1", slower_ms=0)
    run.write_manifest(run.read_manifest() | {"verdict": "VALID"})
    with client(settings(tmp_path, limits=Limits(reports_at_once=1, queries_at_once=1))) as c:
        places = c.app.state.service.measured._asking._reports._places
        taken = [places.acquire(timeout=30) for _ in range(1 + box._WAITING)]
        assert all(taken)
        answer = c.get(f"/benchmarks/{run.run_id}/report")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert c.get(f"/benchmarks/{run.run_id}/query/outcomes").status_code == 200
        c.app.state.service.librarian._figure(run.run_id)
        assert c.get(f"/benchmarks/{run.run_id}").json()["error"] is None, "its figures wait for a place, too"
        for _ in taken:
            places.release()
        assert c.get(f"/benchmarks/{run.run_id}/report?format=csv").status_code == 200


def test_a_fault_inside_a_box_is_told_to_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever asked hears that the log says more, and the log says where it was, without the keys that the box was given."""
    monkeypatch.setenv("OURS", "value-of-OURS")
    env = {"OURS": "value-of-OURS", redaction.GIVEN: "OURS"}
    with pytest.raises(box.FaultError, match=r"KeyError: '\$\{OURS\}'"):
        Boxes(1).ask(
            {"op": "value-of-OURS"}, limit_s=60, memory_bytes=500_000_000, maps_bytes=None, answer_bytes=1000, env=env
        )
    assert "Traceback" in caplog.text
    assert "jobs.py" in caplog.text
    assert "value-of-OURS" not in caplog.text
