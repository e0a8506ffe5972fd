"""What a plan says of its targets before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from generator.job import Target
from generator.scenario_target import HTTP_JSON

_ADDED = ("/chat/completions", "/completions", "/responses", "/messages", "/embeddings")


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
