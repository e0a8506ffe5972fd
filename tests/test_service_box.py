"""Boxes: how many work, how many wait, and what those hear who find no place."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from whole_runs import until

from console.web import box
from console.web.box import Answer, Boxes, BusyError


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
        done.append(boxes.ask({"op": "query"}, limit_s=1, memory_bytes=None, answer_bytes=1))

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
