"""A scenario from its file, the command line's flags and ``--set``: read, checked, its secrets set apart.

Whatever is wrong is a ScenarioError whose text has a line for each fault: place, key, what is wrong, nearest valid key.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import os
import re
import secrets as entropy
import types
import typing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from generator.errors import ScenarioError
from generator.job import TOKENIZER_ENDPOINT
from generator.scenario import files as scenario_files
from generator.scenario import flags as scenario_flags
from generator.scenario import provider
from generator.scenario import text as scenario_text
from generator.scenario.models import Form
from generator.scenario.target import SIMULATOR
from generator.scenario.text import Document, Path

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET_KEYS = ("api_key", "headers", "body", "http", "proxy")
_VARIABLE_KEYS = (*_SECRET_KEYS, "metrics")
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password|credential", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scenario:
    """``form`` is checked; ``document`` is what was checked, in the form of a person, with ``${NAME}`` where secrets are;
    ``secrets`` maps each ``${NAME}`` to its value, which goes nowhere but down a pipe.
    """

    name: str
    seed: int
    form: Form
    document: Document
    secrets: dict[str, str]

    @property
    def simulators(self) -> dict[str, dict[str, Any]]:
        """Options of the built-in endpoint for each target that asks for it."""
        return {name: form.simulator for name, form in self.form.target_forms().items() if form.url == SIMULATOR}

    def text(self) -> str:
        """The resolved scenario as YAML; running it again gives the same schedule."""
        data = {"name": self.name, "seed": self.seed} | self.document.data
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)

    def digest(self) -> str:
        """SHA-256 of ``text()``, which is what the run folder's scenario.yaml holds."""
        return hashlib.sha256(self.text().encode()).hexdigest()


def shipped() -> list[str]:
    """Names of the scenarios that come with the package."""
    return sorted(
        f.name.removesuffix(".yaml") for f in resources.files("scenarios").iterdir() if f.name.endswith(".yaml")
    )


def load(source: str | None, flags: dict[str, Any], sets: list[str]) -> Scenario:
    """``source``: a path, a shipped scenario's name, or None for flags alone. ``flags`` as ``scenario_flags.apply`` takes them.
    Raises ScenarioError.
    """
    return _made(*_read(source), flags, sets, from_nothing=source is None)


def load_text(text: str, source: str, base: FilePath, flags: dict[str, Any], sets: list[str]) -> Scenario:
    """As ``load``, of YAML that is in no file: ``source`` names it in errors, files that it names are relative to ``base``."""
    return _made(scenario_text.parse(text, source), base, source, flags, sets, from_nothing=False)


def _made(
    document: Document, base: FilePath, name: str, flags: dict[str, Any], sets: list[str], *, from_nothing: bool
) -> Scenario:
    scenario_flags.apply(document, flags, from_nothing=from_nothing)
    for text in sets:
        document.put(*scenario_text.setting(text))
    document.data = _said(document.data)
    if from_nothing and not document.data.keys() & {"target", "targets"}:
        raise ScenarioError(
            f"{document.source}: no scenario and no target: name one (such as `quick`, or a file), or give --target URL (simulator is the "
            "built-in endpoint)"
        )
    provider.fill(document, _target_paths(document.data))
    _make_paths_absolute(document, base)
    secrets = _take_secrets(document)
    form = _check(document)
    seed = form.seed if form.seed is not None else entropy.randbits(32)
    document.data["seed"] = seed
    return Scenario(form.name or name, seed, form, document, secrets)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the human form, for editors."""
    schema = Form.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "openloop scenario"}


def _read(source: str | None) -> tuple[Document, FilePath, str]:
    """The document, the folder that its paths start from, and a name for it."""
    if source is None:
        return Document("the command line"), FilePath.cwd(), "flags"
    if not source:
        raise ScenarioError(f"a scenario without a name: give a file, or a shipped one ({', '.join(shipped())})")
    file = FilePath(str(resources.files("scenarios") / f"{source}.yaml")) if source in shipped() else FilePath(source)
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        near = difflib.get_close_matches(source, shipped(), 1)
        hint = f"; nearest shipped scenario: {near[0]!r}" if near else ""
        raise ScenarioError(f"{source}: no such file{hint} (shipped: {', '.join(shipped())})") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{source}: not UTF-8 text") from None
    except OSError as e:
        raise ScenarioError(f"{source}: cannot be read: {e.strerror}") from None
    name = re.sub(r"[^A-Za-z0-9._-]", "-", file.name.removesuffix(".yaml").removesuffix(".yml")).lstrip("._-")
    return scenario_text.parse(text, source), file.resolve().parent, name or "scenario"


def _said(data: Any, key: object = None) -> Any:
    """Without keys that have no value: ``workload:`` with nothing after it says nothing. A body's null is the target's to read."""
    if isinstance(data, dict) and key != "body":
        return {k: _said(v, k) for k, v in data.items() if v is not None}
    return [_said(v) for v in data] if isinstance(data, list) else data


def _target_paths(data: dict[str, Any]) -> list[Path]:
    several = data.get("targets")
    names = [("targets", name) for name in several] if isinstance(several, dict) else []
    return [("target",), *names]


def _make_paths_absolute(document: Document, base: FilePath) -> None:
    """Files named in a scenario are relative to it, those named on the command line to the current folder."""
    paths: list[Path] = [("prices",), *scenario_files.named_files(document.data)]
    paths += [(*target, "tls", key) for target in _target_paths(document.data) for key in ("ca", "cert", "key")]
    paths += [p for t in _target_paths(document.data) if document.get(p := (*t, "tokenizer")) != TOKENIZER_ENDPOINT]
    for path in paths:
        value, place = document.get(path), document.place(path)
        if isinstance(value, str):
            start = FilePath.cwd() if place.startswith("--") else base
            document.put(path, str(start / _at_home(value, place)), place)


def _at_home(text: str, place: str) -> FilePath:
    try:
        return FilePath(text).expanduser()
    except RuntimeError:
        raise ScenarioError(f"{place}: {text}: this machine knows no such user; write the path out") from None


def _take_secrets(document: Document) -> dict[str, str]:
    """Resolve every ``${NAME}``, and put a ``${NAME}`` in place of secrets that were written out."""
    secrets: dict[str, str] = {}
    targets = _target_paths(document.data)
    for path, text in _texts(document.data, ()):
        allowed = any(path[: len(t) + 1] == (*t, key) for t in targets for key in _VARIABLE_KEYS)
        for variable in _VARIABLE.finditer(text):
            word, name = variable.group(0), variable.group(1)
            place = f"{document.place(path)}: {scenario_text.dotted(path)}"
            if not allowed:
                raise ScenarioError(
                    f"{place}: {word} is read only in a target's {', '.join(_VARIABLE_KEYS)}; write it out here"
                )
            if word not in secrets:
                if not os.environ.get(name):
                    there = "is empty" if name in os.environ else "is not set"
                    raise ScenarioError(f"{place}: the environment variable {name} {there}: export {name}=…")
                secrets[word] = os.environ[name]
    for target in targets:
        for path, word in _written_out(document, target):
            _hide(document, path, re.sub(r"\W", "_", f"OPENLOOP_{target[-1]}_{word}").upper(), secrets)
    return secrets


def _written_out(document: Document, target: Path) -> list[tuple[Path, str]]:
    """Where a target has secrets as plain text, and words for them."""
    found: list[tuple[Path, str]] = []
    for key in ("api_key", "proxy"):
        value = document.get((*target, key))
        if _is_plain(value) and (key == "api_key" or "@" in value):
            found.append(((*target, key), key))
    for base in ((*target, "headers"), (*target, "metrics", "headers")):
        headers = document.get(base)
        for name, value in headers.items() if isinstance(headers, dict) else ():
            if _is_plain(value) and _SECRET_HEADER.search(str(name)):
                found.append(((*base, name), "_".join([*map(str, base[len(target) : -1]), str(name)])))
    return found


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not _VARIABLE.search(value)


def _hide(document: Document, path: Path, name: str, secrets: dict[str, str]) -> None:
    """Put ``${NAME}`` in place of a secret. Names that differ in blanks or case alone make one word, so a word is numbered on: another
    target's key must never be sent."""
    secret = document.get(path)
    word = f"${{{name}}}"
    for number in itertools.count(2):
        if secrets.setdefault(word, secret) == secret:
            break
        word = f"${{{name}_{number}}}"
    document.put(path, word, document.place(path))


def _texts(value: Any, path: Path) -> typing.Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*path, number))


def _check(document: Document) -> Form:
    try:
        return Form.model_validate(document.data)
    except ValidationError as e:
        lines: dict[str, None] = {}
        for fault in e.errors(include_url=False):
            lines[_explain(document, fault)] = None
        raise ScenarioError("\n".join(lines)) from None


def _explain(document: Document, fault: typing.Mapping[str, Any]) -> str:
    """One line: place, key, what is wrong, what is nearest."""
    error = fault.get("ctx", {}).get("error")
    path: Path = (*fault["loc"], *getattr(error, "keys", ()))
    kind, value = fault["type"], fault["input"]
    message = str(error) if error is not None else fault["msg"]
    if kind == "missing":
        message, path = f"{path[-1]} is missing", path[:-1]
    elif kind == "extra_forbidden":
        message = f"unknown key{_nearest(str(path[-1]), _keys_at(path[:-1]))}"
    elif kind == "literal_error":
        message = f"{value!r} is not one of {fault['ctx']['expected']}{_nearest(str(value), _literals(fault))}"
    elif kind == "too_short":
        message = f"at least {fault['ctx']['min_length']} is wanted, not {fault['ctx']['actual_length']}"
    elif kind == "model_type":
        message = f"a mapping is wanted (known: {', '.join(_keys_at(path))}), not {value!r:.80}"
    elif error is None:
        shown = "" if set(path) & set(_SECRET_KEYS) else f", not {value!r:.80}"
        message = _lower(message) + shown
    while path and document.get(path) is None and kind != "extra_forbidden":
        path = path[:-1]
    place, key = document.place(path), scenario_text.dotted(path)
    return f"{place}: {key}: {message}" if key and not place.endswith(f" {key}") else f"{place}: {message}"


def _literals(fault: typing.Mapping[str, Any]) -> list[str]:
    return re.findall(r"'([^']+)'", fault["ctx"]["expected"])


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, 1, 0.5)
    return f"; nearest: {near[0]!r}" if near else f" (known: {', '.join(known)})"


def _keys_at(path: Path) -> list[str]:
    """Keys of the model at ``path`` of a scenario; none where there is no model."""
    kind: Any = Form
    for key in path:
        kind = _bare(kind)
        inner = typing.get_origin(kind) in (list, dict)
        kind = typing.get_args(kind)[-1] if inner else _fields(kind).get(str(key))
    return list(_fields(_bare(kind)))


def _fields(kind: Any) -> dict[str, Any]:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {}
    return {f.alias or name: f.annotation for name, f in kind.model_fields.items()}


def _bare(kind: Any) -> Any:
    """The type inside ``Annotated`` and ``X | None``."""
    while typing.get_origin(kind) in (typing.Annotated, typing.Union, types.UnionType):
        arguments = [a for a in typing.get_args(kind) if a is not types.NoneType]
        kind = arguments[0]
    return kind
