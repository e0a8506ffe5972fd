"""The runs folder as the service sees it: what is listed and when, what is left out, and what it does where figures are not to be had."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_runs import small
from services import client, one, settings

from console.web import importing, librarian
from console.web.box import Answer, ExceededError
from console.web.catalogue.store import Store
from console.web.catalogue.tables import BenchmarkRow
from console.web.librarian import Librarian
from console.web.states import State
from generator.errors import RunFolderError
from generator.recording import claim
from generator.run_dir import RunDir


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(f"sqlite:///{tmp_path / 'c.sqlite'}")
    yield found
    found.close()


def keeper(path: Path, store: Store, judge: Any = None) -> Librarian:
    return Librarian(path / "runs", store, judge or (lambda _: Answer({}, b"")), lambda: True)


def unsealed(path: Path) -> RunDir:
    """A run in the middle of a step that began an hour ago."""
    run = RunDir(path)
    run.segments.mkdir(parents=True)
    run.write_manifest({"name": "n", "targets": {"target": {"model": "m", "url": "http://a"}}})
    run.counters_path.write_bytes(bytes(8))
    run.journal_path.write_text("{}\n")
    old_s = time.time() - 3600
    os.utime(run.journal_path, (old_s, old_s))
    return run


def test_a_long_step_is_no_interruption(tmp_path: Path, store: Store) -> None:
    """The journal is silent for as long as a step takes: a run whose workers hold their claim goes on, and one that nobody holds was cut."""
    run = unsealed(tmp_path / "runs" / "r")
    keeping = keeper(tmp_path, store)
    fd = claim.share(run)
    keeping.look()
    assert store.origins() == {}
    os.close(fd)
    keeping.look()
    found = store.get("r")
    assert found is not None
    assert found[0].state == State.INTERRUPTED


def test_what_is_written_to_is_not_deleted(tmp_path: Path) -> None:
    """Whatever the catalogue says of it: a run's processes lose no folder under them."""
    run = unsealed(tmp_path / "runs" / "r")
    with client(settings(tmp_path)) as c:
        fd = claim.share(run)
        refused = c.delete("/benchmarks/r")
        assert (refused.status_code, run.path.exists()) == (409, True)
        assert "still write" in refused.json()["detail"]
        os.close(fd)
        assert c.delete("/benchmarks/r").status_code == 204
        assert not run.path.exists()


def test_what_is_sealed_later_is_read_again(tmp_path: Path, store: Store) -> None:
    """Its verdict and its end are those that it has now, after a restart as well; while nothing changes it is left alone."""
    small(tmp_path / "runs" / "r")
    run = RunDir(tmp_path / "runs" / "r")
    manifest = run.read_manifest() | {"interrupted": True, "verdict": "VALID", "reasons": []}
    run.write_manifest(manifest)
    keeping = keeper(tmp_path, store)
    keeping.look()
    store.set("r", figured=True, error="of before")

    def row() -> BenchmarkRow:
        found = store.get("r")
        assert found is not None
        return found[0]

    for _ in range(2):
        keeping.look()
    assert (row().state, row().error) == ("interrupted", "of before")
    run.write_manifest(manifest | {"verdict": "INVALID", "reasons": ["late"]})
    keeping.look()
    assert (row().verdict, row().reasons, row().error, row().figured) == ("INVALID", ["late"], None, False)
    run.write_manifest(manifest | {"interrupted": False})
    keeper(tmp_path, store).look()
    assert (row().state, row().verdict) == ("completed", "VALID")


@pytest.mark.parametrize(
    "odd", [b'{"targets": ["a"]}', b'{"targets": {"a": 1}}', b'{"scenario_digest": {}}', b"[]", b"{"]
)
def test_an_odd_folder_keeps_nobody_out(tmp_path: Path, odd: bytes) -> None:
    """A manifest of any shape: the service starts, and the runs beside it are listed."""
    for name in ("a", "z"):
        small(tmp_path / "runs" / name)
    strange = tmp_path / "runs" / "m"
    small(strange)
    (strange / "manifest.json").write_bytes(odd)
    long_ago_s = time.time() - 3600
    os.utime(strange / "manifest.json", (long_ago_s, long_ago_s))
    for name in ("a", "z"):
        os.utime(tmp_path / "runs" / name / "manifest.json", (long_ago_s, long_ago_s))
    with client(settings(tmp_path)) as c:
        assert {item["id"] for item in c.get("/benchmarks").json()["items"]} >= {"a", "z"}
        assert c.get("/health").status_code == 200


def test_a_folder_of_somebody_else_keeps_nobody_out(tmp_path: Path, store: Store, monkeypatch: Any) -> None:
    """What may not be read is told once, and left out."""
    for name in ("a", "m", "z"):
        unsealed(tmp_path / "runs" / name)
    found, told = importing.found, []

    def look(run: RunDir) -> BenchmarkRow | None:
        if run.run_id == "m":
            raise PermissionError(13, "Permission denied")
        return found(run)

    monkeypatch.setattr(importing, "found", look)
    monkeypatch.setattr(librarian.log, "exception", lambda *words: told.append(words))
    keeping = keeper(tmp_path, store)
    for _ in range(2):
        keeping.look()
    assert set(store.origins()) == {"a", "z"}
    assert len(told) == 1


def test_figures_that_took_too_much_are_asked_for_again(tmp_path: Path, store: Store, monkeypatch: Any) -> None:
    """A busy machine is no reason for ever; meanwhile others have their turn, and in the end it is given up."""
    monkeypatch.setattr(librarian, "_AGAIN_S", (0.0, 3600.0))
    asked: list[str] = []

    def judge(path: Path) -> Answer:
        asked.append(path.name)
        raise ExceededError("no answer within 120 s; it was ended")

    keeping = keeper(tmp_path, store, judge)
    for number, name in enumerate(("older", "newer")):
        store.add(BenchmarkRow(id=name, name="n", state=State.COMPLETED, origin="api", created_ms=number))
    assert keeping._waiting() == "newer"
    keeping._figure("newer")
    assert keeping._waiting() == "newer"
    keeping._figure("newer")
    assert keeping._waiting() == "older", "the newer one sleeps"
    keeping._figure("newer")
    found = store.get("newer")
    assert found is not None
    assert (found[0].figured, found[0].error) == (True, "no answer within 120 s; it was ended")
    assert store.not_figured(5) == ["older"]


def test_why_it_failed_stays(tmp_path: Path, store: Store) -> None:
    """That its figures are not to be had does not take the place of the reason."""

    def judge(path: Path) -> Answer:
        raise RunFolderError(f"{path}: not a run folder")

    for name, error in (("known", "its own reason"), ("unknown", None)):
        store.add(BenchmarkRow(id=name, name="n", state=State.FAILED, origin="api", created_ms=1, error=error))
        keeper(tmp_path, store, judge)._figure(name)
    errors = [found[0].error for name in ("known", "unknown") if (found := store.get(name))]
    assert errors == ["its own reason", f"{tmp_path / 'runs' / 'unknown'}: not a run folder"]


def test_a_link_is_deleted_and_not_what_it_leads_to(tmp_path: Path) -> None:
    """It does not come back to the list; the folder elsewhere is not the service's."""
    elsewhere = unsealed(tmp_path / "elsewhere")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(elsewhere.path)
    with client(settings(tmp_path)) as c:
        assert one(c, "linked")["origin"] == "cli"
        assert c.delete("/benchmarks/linked").status_code == 204
        c.app.state.service.librarian.look()
        assert c.get("/benchmarks/linked").status_code == 404
    assert elsewhere.manifest_path.exists()


def test_what_cannot_be_deleted_is_said(tmp_path: Path, monkeypatch: Any) -> None:
    """409 with the reason, and it stays as it was."""
    run = unsealed(tmp_path / "runs" / "r")
    with client(settings(tmp_path)) as c:

        def refuse(*_: Any) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "rename", refuse)
        refused = c.delete("/benchmarks/r")
        assert (refused.status_code, "Permission denied" in refused.json()["detail"]) == (409, True)
        assert one(c, "r")["state"] == "interrupted"
        assert run.manifest_path.exists()
        monkeypatch.undo()
        assert c.delete("/benchmarks/r").status_code == 204
        assert not any((tmp_path / "runs" / ".service" / "trash").iterdir())
