"""What a visitor's scenario may reach, checked before anything of it is read, sent or stored.

A scenario names targets, variables of the environment, and files. On the command line all three are the person's own; here they are
the server's. So: a target must be one that the service may load, a variable one that it gives away, and that only to the hosts that it
belongs to, and a file must lie in a folder that was opened for this. Secrets are never part of what is submitted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from console.web import redaction
from console.web.settings import Settings, Sizes, is_loopback
from generator.errors import ScenarioError
from generator.job import TOKENIZER_ENDPOINT
from generator.planning.plan import Planned
from generator.providers import PRESETS
from generator.scenario.files import named_files
from generator.scenario.reading import Scenario
from generator.scenario.target import SIMULATOR
from generator.scenario.text import Path as Keys
from generator.scenario.text import dotted

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SIMULATOR_REFUSED = ("host", "port", "truth", "tls_cert", "tls_key", "processes")
"""Options of the built-in endpoint that open ports or write files on the server."""

_SECRET_NAME = re.compile(r"auth|key|token|secret|password|credential", re.IGNORECASE)
"""Of a parameter in a URL."""

NO_LONGER = "its turn came, and it is not admitted any more"
"""What is said of a benchmark that was queued under other rules than those under which it would run."""


@dataclass(frozen=True, slots=True)
class Rules(Sizes):
    """``targets``: ``HOST`` or ``HOST:PORT``, None for any. ``env``: variable → the hosts that may be sent it, None for any allowed
    target. ``folders``: where files may lie.
    """

    targets: tuple[str, ...] | None = None
    env: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    folders: tuple[str, ...] = ()


def of_settings(settings: Settings) -> Rules:
    """What whoever started this service allows."""
    return Rules(
        targets=settings.allow_targets,
        env=variables(settings.allow_env),
        folders=(str(settings.data_dir),) if settings.data_dir else (),
        **{size.name: getattr(settings.limits, size.name) for size in fields(Sizes)},
    )


def told(rules: Rules, *own: Path) -> dict[str, Any]:
    """``rules`` as JSON takes them, to a process that is to keep them. ``own``: folders of the service's own that it may read as well."""
    return asdict(rules) | {"folders": [*rules.folders, *map(str, own)]}


def of_told(words: Mapping[str, Any]) -> Rules:
    """What ``told`` said. Shipped scenarios name files beside them."""
    targets = None if words["targets"] is None else tuple(words["targets"])
    return Rules(**{**words, "targets": targets, "folders": (*words["folders"], str(resources.files("scenarios")))})


def variables(allowed: tuple[str, ...]) -> dict[str, tuple[str, ...] | None]:
    """Variables that runs may use: a preset's key goes to the preset's own host; ``NAME`` of ``allowed`` to any target that may be
    loaded, ``NAME@HOST`` to that host. A preset whose host is the customer's own (Azure) has none to give its key to.
    """
    found: dict[str, tuple[str, ...] | None] = {}
    for preset in PRESETS.values():
        host = _preset_host(preset.url)
        if host is not None:
            found[preset.key] = (*(found.get(preset.key) or ()), host)
    for text in allowed:
        name, at, host = text.partition("@")
        if at:
            found[name] = (*(found.get(name) or ()), host.lower())
        else:
            found[name] = None
    return found


def _preset_host(url: str) -> str | None:
    """Its host; None where part of it is the customer's own: anyone can have a resource at Azure, and none but one is the key's."""
    host = (urlsplit(url).hostname or "").lower()
    return host if host and "{" not in host else None


def check_read(read: Scenario, rules: Rules) -> None:
    """Raises ScenarioError with a line for each thing that may not be. Nothing that the scenario names was opened yet."""
    faults = [
        *_targets(read, rules),
        *_secrets(read, rules),
        *_written_out(read),
        *_files(read, rules),
        *_processes(read),
        *_repeats(read),
    ]
    if faults:
        raise ScenarioError("\n".join(dict.fromkeys(faults)))


def check_size(planned: Planned, rules: Rules) -> None:
    """Raises ScenarioError where the plan is larger than the service takes."""
    plan, needs = planned.plan, planned.needs
    most = {
        "steps": (len(plan.steps), rules.steps),
        "requests": (needs.requests, rules.requests),
        "seconds": (needs.duration_s, rules.duration_s),
        "in flight": (max((n.in_flight for n in needs.steps), default=0), rules.in_flight),
        "requests a second": (max((s.rate_end_rps or s.rate_rps or 0 for s in plan.steps), default=0), rules.rate_rps),
        "workers": (plan.workers, rules.workers),
    }
    faults = [
        f"the scenario: {asked:,.6g} {what} are more than this service takes ({limit:,.6g})"
        for what, (asked, limit) in most.items()
        if asked is not None and asked > limit
    ]
    if faults:
        raise ScenarioError("\n".join(faults))


def kept_back(names: Iterable[str], rules: Rules) -> str | None:
    """What is said where one of these variables is not given away (any more); None where all are."""
    gone = next((name for name in names if name not in rules.env), None)
    return None if gone is None else _not_given(gone)


def _not_given(name: str) -> str:
    return f"${{{name}}} is not given away by this service; whoever runs it does so with --allow-env {name}"


def names_used(read: Scenario) -> list[str]:
    """Variables of the environment that the scenario names."""
    return sorted({name for _, text in _texts(read.document.data, ()) for name in _VARIABLE.findall(text)})


def lanes(read: Scenario) -> list[str]:
    """What the queue runs one at a time of: ``host:port`` of each target; simulators share the machine, so they share a lane."""
    urls = {form.url for form in read.form.target_forms().values()}
    return sorted({SIMULATOR if url == SIMULATOR else _authority(url) for url in urls})


def host_allowed(url: str, allowed: tuple[str, ...] | None) -> bool:
    """Whether ``url``'s host and port are on the list; an entry without a port stands for all of them."""
    if allowed is None:
        return True
    host, _, port = _authority(url).rpartition(":")
    return any(entry.lower() in (host, f"{host}:{port}") for entry in allowed)


def _authority(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _target_keys(read: Scenario) -> Iterator[tuple[Keys, Any]]:
    for name, form in read.form.target_forms().items():
        yield (("target",) if read.form.targets is None else ("targets", name)), form


def _urls(keys: Keys, form: Any) -> Iterator[tuple[Keys, str]]:
    """Everything of a target that is connected to."""
    yield (*keys, "url"), form.url
    if form.proxy is not None:
        yield (*keys, "proxy"), form.proxy
    if form.metrics is not None and form.metrics.url is not None:
        yield (*keys, "metrics", "url"), form.metrics.url


def _targets(read: Scenario, rules: Rules) -> Iterator[str]:
    for keys, form in _target_keys(read):
        for where, url in _urls(keys, form):
            if "${" in url:
                yield f"{_at(read, where)}: a URL is written out here; variables are for keys and headers"
            elif url != SIMULATOR and not host_allowed(url, rules.targets):
                yield (
                    f"{_at(read, where)}: {_authority(url)} is no target of this service; whoever runs it allows one with "
                    f"--allow-target ({', '.join(rules.targets or ()) or 'none is allowed'})"
                )


def _secrets(read: Scenario, rules: Rules) -> Iterator[str]:
    literal = [word[2:-1] for word in read.secrets if word[2:-1] not in os.environ]
    if literal:
        yield (
            "the scenario: a key is written out in it; keys never pass through here: name a variable of the server's environment, "
            "such as ${OPENAI_API_KEY}"
        )
    for keys, form in _target_keys(read):
        where = form.url if form.url == SIMULATOR or "${" in form.url else (urlsplit(form.url).hostname or "").lower()
        for path, text in _texts(read.document.get(keys), keys):
            host, url = where, form.url
            if path[len(keys) :][:1] == ("metrics",) and form.metrics is not None and form.metrics.url is not None:
                url = form.metrics.url
                host = (urlsplit(url).hostname or "").lower()
            for name in _VARIABLE.findall(text):
                if name in literal:
                    continue
                if name not in rules.env:
                    yield f"{_at(read, path)}: {_not_given(name)}"
                elif not _belongs(host, rules.env[name]):
                    yield (
                        f"{_at(read, path)}: ${{{name}}} is sent to {' and '.join(rules.env[name] or ())} only, not to {host}; "
                        f"whoever runs the service allows more with --allow-env {name}@HOST"
                    )
                elif rules.env[name] is not None and (open_to := _readers(form, url)) is not None:
                    yield f"{_at(read, path)}: ${{{name}}} belongs to {host} alone, and {open_to}"


def _written_out(read: Scenario) -> Iterator[str]:
    """Keys where a scenario does not look for them: by their form, and by the name of what they stand under."""
    for keys, form in _target_keys(read):
        places = [
            where
            for where, url in _urls(keys, form)
            if any(_SECRET_NAME.search(name) for name, _ in parse_qsl(urlsplit(url).query))
        ]
        for path, text in _texts(read.document.get(keys), keys):
            inside = path[len(keys) :]
            header = inside[:1] == ("headers",) or inside[:2] == ("metrics", "headers")
            name = "" if text == path[-1] else str(path[-1])  # keys are texts as well
            if inside != ("model",) and redaction.is_key(text, name, alone=header):
                places.append(path)
        for place in places:
            yield redaction.without_keys(
                f"{_at(read, place)}: what stands there looks like a key; keys never pass through here: name a variable of the server's "
                "environment, such as ${OPENAI_API_KEY}, as api_key or in a header",
                (),
            )


def _readers(form: Any, url: str) -> str | None:
    """Who else would read a key that goes to ``url``, and the fix; None where nobody can. On the way to this machine itself nobody does,
    unless a proxy is asked to go there.
    """
    if form.proxy is None and (url == SIMULATOR or is_loopback(urlsplit(url).hostname or "")):
        return None
    if urlsplit(url).scheme != "https":
        return "over plain http anybody on the way reads it: name an https URL, or have it given away without a host (--allow-env NAME)"
    tls = form.tls
    if not tls.verify or tls.server_name is not None:
        return "whoever answers in that host's name reads it: take out tls.verify and tls.server_name"
    if form.proxy is not None and tls.ca is not None:
        # The proxy could answer in the target's name with a certificate of that authority.
        return (
            "it passes a proxy only within TLS that is checked against the usual authorities: take out tls.ca, or proxy"
        )
    return None


def _belongs(host: str, hosts: tuple[str, ...] | None) -> bool:
    if hosts is None:
        return True
    return any(host == known or (known.startswith(".") and host.endswith(known)) for known in hosts)


def _files(read: Scenario, rules: Rules) -> Iterator[str]:
    data = read.document.data
    places: list[Keys] = [("prices",), *named_files(data)]
    for keys, _ in _target_keys(read):
        places += [(*keys, "tls", key) for key in ("ca", "cert", "key")]
        if read.document.get((*keys, "tokenizer")) != TOKENIZER_ENDPOINT:
            places.append((*keys, "tokenizer"))
    folders = [Path(folder).resolve() for folder in rules.folders]
    for place in places:
        name = read.document.get(place)
        if not isinstance(name, str):
            continue
        # Links are followed first: one inside the folder may point out of it.
        file = Path(name).resolve()
        if not any(file.is_relative_to(folder) for folder in folders):
            yield (
                f"{_at(read, place)}: {Path(name).name} is not in the folder that scenarios may read; "
                "whoever runs the service names one with --data-dir"
            )


def _processes(read: Scenario) -> Iterator[str]:
    for keys, form in _target_keys(read):
        if form.metrics is not None and form.metrics.pid is not None:
            yield f"{_at(read, (*keys, 'metrics', 'pid'))}: processes of the server are not looked at from here"
        refused = [name for name in form.simulator if str(name).replace("-", "_") in _SIMULATOR_REFUSED]
        if refused:
            yield f"{_at(read, (*keys, 'simulator'))}: {', '.join(refused)}: not to be chosen from here"


def _repeats(read: Scenario) -> Iterator[str]:
    """A benchmark is one run; several are several benchmarks, which the queue keeps apart."""
    for key in ("repeat", "until"):
        if getattr(read.form, key) is not None:
            yield f"{_at(read, (key,))}: a benchmark of the service is one run; submit it as often as wanted, or use `openloop run`"


def _at(read: Scenario, keys: Keys) -> str:
    return f"{read.document.place(keys)}: {dotted(keys)}"


def _texts(value: Any, path: Keys) -> Iterator[tuple[Keys, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(str(key), (*path, key))
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*path, number))
