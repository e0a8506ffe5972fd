"""Prompts from a file, by arrival number: in the file's order, from the start again when they are spent, or shuffled by the seed.

The plan reads the file once, whole, to find every fault and to apply the filters; what it keeps is an index, 16 bytes a record, which all
workers map. JSONL and text that are not packed are mapped, too, so that a file of any size costs each worker nothing but the pages
that it is reading. Any other file (gzip, CSV, a JSON array, Parquet) is held by each worker as text, at most HELD_BYTES of it.
"""

from __future__ import annotations

import hashlib
import mmap
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.errors import ScenarioError
from generator.job import DatasetOptions, WorkloadSpec, dump
from generator.run_dir import RunDir
from generator.workload import picking, tables
from generator.workload.picking import Picked

HELD_BYTES = 512 * 1024 * 1024
ORDER = 7
"""Stream of a step's seed that shuffles; see ``lengths``."""

Count = Callable[[str], int]
"""Text → tokens."""

Index = NDArray[np.int64]
"""[1 + n, 2]: size and time of change of the file, then where each record that is kept begins and ends."""


@dataclass(frozen=True, slots=True)
class _Source:
    """All records of a file as one run of bytes; ``text``: a record is its own prompt, not JSON."""

    data: mmap.mmap | bytes
    text: bool

    def record(self, start: int, end: int, place: str) -> Any:
        raw = self.data[start:end]
        if not self.text:
            return tables.record(raw, place)
        try:
            return raw.decode()
        except UnicodeDecodeError as e:
            raise ScenarioError(f"{place}: not UTF-8 text: {e.reason}") from None


class Dataset:
    """``seed`` shuffles; a permutation of its own for each pass. Raises ScenarioError with file and place where a prompt is missing."""

    def __init__(
        self,
        path: Path,
        options: DatasetOptions | None = None,
        seed: tuple[int, int] = (0, 0),
        index: Index | None = None,
        count: Count | None = None,
    ) -> None:
        self._path = path
        self._options = options = options or DatasetOptions()
        kind = tables.format_of(path, options.format)
        with tables.faults(path, "dataset"):
            changed = np.array([[path.stat().st_size, path.stat().st_mtime_ns]], dtype=np.int64)
        if index is None:
            self._source, spans = _open(path, kind, options)
            kept = [(s, e) for s, e, place in spans if _wanted(self._source.record(s, e, place), place, options, count)]
            if not kept:
                raise ScenarioError(f"{path}: no prompts{_filtered(options)}")
            index = np.concatenate([changed, np.array(kept, dtype=np.int64)])
        elif (index[0] != changed[0]).any():
            raise ScenarioError(f"{path}: the dataset has changed since the plan was made; run again")
        else:
            self._source, _ = _open(path, kind, options)
        self.index = index
        self._size = len(index) - 1
        self._seed = seed
        self._passes: OrderedDict[int, NDArray[np.int64]] = OrderedDict()

    def __len__(self) -> int:
        return self._size

    def record(self, n: int) -> Any:
        """The whole record of arrival ``n``; of a text file, its text."""
        start, end = self.index[1 + self._place(n)].tolist()
        return self._source.record(start, end, str(self._path))

    def picked(self, n: int) -> Picked:
        return picking.pick(self.record(n), self._options.field, whole=self._options.whole)

    def text(self, n: int) -> str:
        return self.picked(n).text

    def turns(self, n: int) -> tuple[str, ...]:
        """All that a person says in arrival ``n``'s record, in order: one text of a plain prompt, several of a conversation."""
        return self.picked(n).turns

    def system(self, n: int) -> str | None:
        """The conversation's system message; None where it has none."""
        messages = self.picked(n).messages or ()
        return next((str(m["content"]) for m in messages if m["role"] in ("system", "developer")), None)

    def output_tokens(self, record: Any) -> int | None:
        """What the record itself wants; None unless ``output_tokens_field`` is given."""
        field = self._options.output_tokens_field
        return None if field is None else picking.number(record, field)

    def pick(self, record: Any) -> Picked:
        return picking.pick(record, self._options.field, whole=self._options.whole)

    def _place(self, n: int) -> int:
        number, within = divmod(n, self._size)
        if self._options.order == "in-order":
            return within
        order = self._passes.get(number)
        if order is None:
            seed = np.random.SeedSequence(self._seed[0], spawn_key=(self._seed[1], ORDER, number))
            order = self._passes[number] = np.random.default_rng(seed).permutation(self._size)
            if len(self._passes) > 2:  # answers of the pass before may still be asked for by a session
                self._passes.popitem(last=False)
        return int(order[within])


def table_of(spec: WorkloadSpec) -> str:
    """Name of the plan's array that holds the index of a workload's dataset."""
    said = f"{spec.dataset}\n".encode() + dump(spec.dataset_options)
    return f"prompts-{hashlib.sha256(said).hexdigest()[:12]}"


def planned(spec: WorkloadSpec, run: RunDir, seed: tuple[int, int]) -> Dataset:
    """The dataset of a workload, by the plan's index; read anew where the plan has none. Raises ScenarioError."""
    assert spec.dataset is not None
    path = run.plan_array_path(table_of(spec))
    index = np.load(path, mmap_mode="r") if path.exists() else None
    return Dataset(Path(spec.dataset), spec.dataset_options, seed, index)


Span = tuple[int, int, str]
"""Start, end, place."""


def _open(path: Path, kind: str, options: DatasetOptions) -> tuple[_Source, Iterator[Span]]:
    """The file's bytes, and an iterator over its records that reads nothing until it is asked."""
    with tables.faults(path, "dataset"):
        if kind in ("jsonl", "text"):
            data = _bytes(path)
            paragraphs = kind == "text" and options.paragraphs
            return _Source(data, kind == "text"), (_paragraphs if paragraphs else _lines)(data, path)
    held = bytearray()
    spans: list[Span] = []
    for place, row in tables.rows(path, kind, "dataset"):
        start = len(held)
        held += tables.as_json(row)
        spans.append((start, len(held), place))
        if len(held) > HELD_BYTES:
            raise _too_large(path)
    return _Source(bytes(held), text=False), iter(spans)


def _bytes(path: Path) -> mmap.mmap | bytes:
    if path.suffix == ".gz":
        with tables.opened(path) as packed:
            data = packed.read(HELD_BYTES + 1)
        if len(data) > HELD_BYTES:
            raise _too_large(path)
        return data
    with path.open("rb") as f:
        try:
            return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file cannot be mapped
            return b""


def _too_large(path: Path) -> ScenarioError:
    return ScenarioError(
        f"{path}: more than {HELD_BYTES >> 20} MiB of records, which every worker would hold; make it JSONL or text, not packed: "
        "that is mapped, and may be of any size"
    )


def _lines(data: mmap.mmap | bytes, path: Path) -> Iterator[Span]:
    """Lines that are not blank, without their ends."""
    start = number = 0
    size = len(data)
    while start < size:
        end = data.find(b"\n", start)
        end = size if end < 0 else end
        number += 1
        line = data[start:end]
        if line.strip():
            yield start, end - line.endswith(b"\r"), f"{path}:{number}"
        start = end + 1


def _paragraphs(data: mmap.mmap | bytes, path: Path) -> Iterator[Span]:
    """Lines without a blank one between them, as one."""
    begun: Span | None = None
    last = 0
    for start, end, place in _lines(data, path):
        if begun is not None and data[last:start].count(b"\n") > 1:
            yield begun[0], last, begun[2]
            begun = None
        begun = begun or (start, end, place)
        last = end
    if begun is not None:
        yield begun[0], last, begun[2]


def _wanted(record: Any, place: str, options: DatasetOptions, count: Count | None) -> bool:
    """Whether the filters keep it. An empty prompt is an error, unless a filter would leave it out for its length."""
    try:
        text = picking.pick(record, options.field, whole=options.whole).text
        if options.output_tokens_field is not None:
            picking.number(record, options.output_tokens_field)
    except picking.NothingError as e:
        if options.min_chars or options.min_tokens:
            return False
        raise ScenarioError(f"{place}: {e}; min_chars: 1 leaves such records out") from None
    except ValueError as e:
        raise ScenarioError(f"{place}: {e}") from None
    if not _within(len(text), options.min_chars, options.max_chars):
        return False
    if options.min_tokens is None and options.max_tokens is None:
        return True
    assert count is not None, "the scenario asks for a tokenizer"
    return _within(count(text), options.min_tokens, options.max_tokens)


def _within(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _filtered(options: DatasetOptions) -> str:
    names = ("min_chars", "max_chars", "min_tokens", "max_tokens")
    said = [f"{name} {value:,}" for name in names if (value := getattr(options, name)) is not None]
    return f" left by {' and '.join(said)}" if said else " in it; a record on each line is wanted"
