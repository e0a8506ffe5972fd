"""YAML → plain data, and where each value was written. Nothing here knows what a scenario means.

A *path* is the tuple of keys and list positions that leads to a value: ``("steps", 0, "rate")``. A *place* is what a person
is told: ``ladder.yaml:12``, ``--rate`` or ``--set steps.0.rate``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from generator.errors import ScenarioError

Path = tuple[str | int, ...]

_MOST_NODES = 200_000  # aliases of aliases grow without end in a few lines
_DEEPEST = 40


@dataclass(slots=True)
class Document:
    """``data`` as YAML gave it, ``places`` of every value in it; ``source`` names the whole."""

    source: str
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, str] = field(default_factory=dict)

    def place(self, path: Path) -> str:
        """Where the value at ``path`` was written, or the nearest value around it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return self.source

    def put(self, path: Path, value: Any, place: str) -> None:
        """Set a value; mappings on the way are made, list positions must exist. Raises ScenarioError."""
        here: Any = self.data
        for depth, key in enumerate(path[:-1]):
            self._check(here, path, depth, place)
            if isinstance(here, dict) and here.get(key) is None:
                here[key] = {}
                self.places.setdefault(path[: depth + 1], place)
            here = here[key]
        self._check(here, path, len(path) - 1, place)
        here[path[-1]] = value
        self._forget(path)
        self.places[path] = place

    def drop(self, path: Path) -> None:
        """Remove a mapping's entry, if it is there."""
        here = self.get(path[:-1])
        if isinstance(here, dict):
            here.pop(path[-1], None)
        self._forget(path)

    def get(self, path: Path) -> Any:
        """The value at ``path``; None where there is nothing."""
        here: Any = self.data
        for key in path:
            try:
                here = here[key]
            except (KeyError, IndexError, TypeError):
                return None
        return here

    def _forget(self, path: Path) -> None:
        for stale in [p for p in self.places if p[: len(path)] == path]:
            del self.places[stale]

    def _check(self, here: Any, path: Path, depth: int, place: str) -> None:
        key = path[depth]
        around = dotted(path[:depth]) or "the scenario"
        if isinstance(here, list):
            if not isinstance(key, int):
                raise ScenarioError(f"{place}: {around} is a list; say which item by its number, from 0, not {key!r}")
            if key >= len(here):
                raise ScenarioError(
                    f"{place}: {around} has {len(here)} item{'s' * (len(here) != 1)}, numbered from 0; there is no {key}"
                )
        elif not isinstance(here, dict):
            raise ScenarioError(f"{place}: {around} is {here!r}, which has nothing named {key!r} inside")
        elif isinstance(key, int):
            raise ScenarioError(f"{place}: {around} is no list; it has no item {key}")


def dotted(path: Path) -> str:
    return ".".join(str(p) for p in path)


def parse(text: str, source: str) -> Document:
    """A YAML mapping with the line of every value. Raises ScenarioError on anything else, duplicate keys included."""
    places: dict[Path, str] = {}
    data = _read(text, source, places)
    if data is None:
        raise ScenarioError(f"{source}: empty; a scenario needs a target and steps")
    if not isinstance(data, dict):
        raise ScenarioError(f"{source}:1: a scenario is a mapping of keys such as target and steps, not {data!r:.60}")
    return Document(source, data, places)


def value_of(text: str, place: str) -> Any:
    """One YAML value from the command line: ``[1, 2]``, ``10s``, ``true``. Raises ScenarioError."""
    try:
        return _read(text, place, {})
    except ScenarioError as e:
        raise ScenarioError(f"{place}: {text!r:.80} is no YAML value: {str(e).rpartition(': ')[2]}") from None


def _read(text: str, source: str, places: dict[Path, str]) -> Any:
    """The data, None where there is none; ``places`` is filled."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        for path, line, key in _walk(node, (), source):
            if key and path in places:
                raise ScenarioError(f"{source}:{line}: key {path[-1]!r} is given twice, first at {places[path]}")
            places[path] = f"{source}:{line}"
        return _unshared(loader.construct_document(node))
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        raise ScenarioError(f"{source}:{mark.line + 1 if mark else 1}: not YAML: {_problem(e)}") from None
    except (yaml.YAMLError, ValueError) as e:  # ValueError: a date such as 2024-99-99
        raise ScenarioError(f"{source}: not YAML: {str(e).splitlines()[0]}") from None


def _problem(fault: yaml.MarkedYAMLError) -> str:
    """YAML's own words, but for two mistakes that these do not tell."""
    said = fault.problem or fault.context or "unreadable"
    if said.startswith("found character '\\t'"):
        return "a line is indented with a tab; YAML takes blanks alone"
    if said.startswith("but found another document"):
        return "a second document begins here (---); a file holds one scenario"
    return said


def _unshared(value: Any) -> Any:
    """A copy in which what an alias repeats is repeated, so that a setting of one step does not reach another."""
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def setting(text: str) -> tuple[Path, Any, str]:
    """``path=value`` of ``--set`` → (path, value, place). Raises ScenarioError."""
    name, equals, value = text.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise ScenarioError(f"--set {text}: path=value is wanted, such as steps.0.duration=10s")
    place = f"--set {name.strip()}"
    return tuple(int(k) if k.isdecimal() else k for k in keys), value_of(value, place), place


def _walk(root: yaml.Node, base: Path, source: str) -> Iterator[tuple[Path, int, bool]]:
    """(path, line from 1, whether it is a mapping's entry) of every value; an entry's line is its key's."""
    waiting: list[tuple[yaml.Node, Path]] = [(root, base)]
    seen = 0
    yield base, root.start_mark.line + 1, False
    while waiting:
        node, path = waiting.pop()
        seen += 1
        if seen > _MOST_NODES or len(path) > _DEEPEST:
            raise ScenarioError(f"{source}:{node.start_mark.line + 1}: too large or too deep for a scenario")
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    continue
                if not isinstance(key, yaml.ScalarNode):
                    raise ScenarioError(
                        f"{source}:{key.start_mark.line + 1}: a key is one word, not a list or a mapping"
                    )
                yield (*path, key.value), key.start_mark.line + 1, True
                waiting.append((value, (*path, key.value)))
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                yield (*path, number), item.start_mark.line + 1, False
                waiting.append((item, (*path, number)))
