"""Errors that a person caused or can mend. Each names the place and the fix; the console maps them to exit codes once."""

from __future__ import annotations


class OpenloopError(Exception):
    """Base; exit code 2 unless a subclass says otherwise."""

    exit_code = 2


class ScenarioError(OpenloopError):
    """The scenario, a flag or ``--set`` is wrong. The text names file, line, key and the nearest valid one."""


class MachineError(OpenloopError):
    """The machine lacks what the plan needs: descriptors, ports, a writable folder."""


class RunFolderError(OpenloopError):
    """A run folder exists already, is missing, or is damaged."""


class QueryError(OpenloopError):
    """A named query does not exist, or SQL is refused."""


class StoreError(OpenloopError):
    """A store of runs cannot be reached, refuses, or holds what is not ours. The text never holds a password."""


class TargetError(OpenloopError):
    """No request can succeed: the target is unreachable, refuses TLS, or answers 401 or 404 to the probe."""

    exit_code = 4
