"""``search.json``: all that a search knows, written whole after every run, so that it can be killed at any place and go on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from analysis.searching.part import Done, Goal, Limits
from generator import clock, job
from generator.errors import RunFolderError
from generator.run_dir import write_whole

FILE = "search.json"
FORMAT = 2


@dataclass(frozen=True, slots=True)
class State:
    """``begun``: the run that is under way, or was when the search died; ``begun_at``: since when, RFC 3339. ``forgiven``: so many
    runs were there when it was last resumed. ``end``: how it ended, None while it goes on.
    """

    search_id: str
    name: str
    created: str
    scenario_digest: str
    slo: dict[str, float]
    goal: Goal
    limits: Limits
    runs: tuple[Done, ...] = ()
    begun: str | None = None
    forgiven: int = 0
    end: str | None = None
    target: str = ""
    format: int = FORMAT
    warnings: tuple[str, ...] = field(default=())
    begun_at: str = ""

    def begin(self, run_id: str) -> State:
        return replace(self, begun=run_id, begun_at=clock.utc_text(), end=None)

    def finish(self, done: Done) -> State:
        return replace(self, runs=(*self.runs, done), begun=None, begun_at="")


def path_of(folder: Path) -> Path:
    return folder / FILE


def write(folder: Path, state: State) -> None:
    """The old state or the new one is there, never half of it. Raises RunFolderError."""
    write_whole(path_of(folder), job.dump(state))


def read(folder: Path) -> State:
    """Raises RunFolderError where there is none, or none that can be understood."""
    path = path_of(folder)
    try:
        state = job.load(State, path.read_bytes())
    except FileNotFoundError:
        raise RunFolderError(f"{folder}: no search: {FILE} is missing") from None
    except OSError as e:
        raise RunFolderError(f"{path}: cannot be read: {e.strerror}") from None
    except (orjson.JSONDecodeError, TypeError, ValueError, AttributeError) as e:
        raise RunFolderError(f"{path}: damaged: {e}; restore it from a copy, or search anew") from e
    if state.format != FORMAT:
        raise RunFolderError(f"{path}: of another version of openloop (format {state.format}); search anew")
    return state


def find(ref: str, runs_dir: Path) -> Path:
    """The folder of a search by id, by path, or the newest by the word ``latest``. Raises RunFolderError with what there is."""
    there = _newest(runs_dir)
    if ref == "latest" and there:
        return there[0]
    for folder in (runs_dir / ref, Path(ref)):
        if path_of(folder).exists():
            return folder.resolve()
    known = f"; the newest there: {', '.join(p.name for p in there[:5])}" if there else ""
    raise RunFolderError(f"search {ref!r}: no such search in {runs_dir}, and no such path{known}")


def _newest(runs_dir: Path) -> list[Path]:
    """Folders of searches, the newest first. One that is damaged keeps nobody from going on with another."""
    found = []
    for path in runs_dir.glob(f"*/{FILE}"):
        try:
            found.append((read(path.parent).created, path.parent))
        except RunFolderError:
            continue
    return [folder for _, folder in sorted(found, reverse=True)]
