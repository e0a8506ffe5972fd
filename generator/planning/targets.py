"""What a plan looks at in its targets before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from generator.errors import ScenarioError
from generator.job import TOKENIZER_ENDPOINT, Target
from generator.scenario.reading import Scenario
from generator.scenario.target import HTTP_JSON
from generator.scenario.text import dotted

_ADDED = ("/chat/completions", "/completions", "/responses", "/messages", "/embeddings")


def refuse_missing_files(scenario: Scenario) -> None:
    """Raises ScenarioError where a target names a certificate, a key or a tokenizer that is no file: else only the run would find out."""
    for name, form in scenario.form.target_forms().items():
        keys = ("target",) if scenario.form.targets is None else ("targets", name)
        named = {(*keys, "tls", key): getattr(form.tls, key) for key in ("ca", "cert", "key")}
        named[(*keys, "tokenizer")] = None if form.tokenizer == TOKENIZER_ENDPOINT else form.tokenizer
        for path, file in named.items():
            if file is not None and not Path(file).is_file():
                place, key = scenario.document.place(path), dotted(path)
                at = place if place.endswith(f" {key}") else f"{place}: {key}"
                raise ScenarioError(f"{at}: {file}: {'not a' if Path(file).exists() else 'no such'} file")


def warnings(targets: Iterable[Target]) -> Iterator[str]:
    """A URL that already ends with what an API adds to it, as providers' examples show it, ends in 404 for every request."""
    for target in targets:
        path = urlsplit(target.url).path.rstrip("/")
        added = next((end for end in _ADDED if path.endswith(end)), None)
        if added is not None and target.api != HTTP_JSON:
            yield (
                f"target {target.name!r}: its url ends with {added}, and {target.api} adds its own path to a url; "
                f"leave {added} out of it"
            )
