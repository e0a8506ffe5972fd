"""Exit codes: what a script learns of a command without reading a word."""

from __future__ import annotations

from collections.abc import Iterable

GOOD = 0
FAULT = 1
WRONG = 2
INVALID = 3
NO_SUCCESS = 4
THRESHOLD = 99
INTERRUPTED = 130

MEANING = {
    WRONG: "the command, scenario, folder or query is wrong, or the machine lacks what the plan needs",
    FAULT: "a fault of openloop itself; what was recorded is kept",
    INTERRUPTED: "interrupted (Ctrl-C, SIGTERM, SIGHUP); a run's data is sealed",
    NO_SUCCESS: "no request succeeded: the target is unreachable, refuses TLS, or answers with errors only",
    INVALID: "the run is INVALID: the generator did not do what the plan asked of it",
    THRESHOLD: "a threshold of the scenario failed, or there was not enough data to say",
    GOOD: "good",
}
"""In order of precedence: where several apply, the first counts."""

_ORDER = tuple(MEANING)


def first(codes: Iterable[int]) -> int:
    """The code that counts among those that apply; GOOD when there is none."""
    return min(codes, key=_ORDER.index, default=GOOD)
