"""Why the service does not do what it is asked, where nothing is wrong with how it was asked."""

from __future__ import annotations

from generator.errors import OpenloopError


class MissingError(OpenloopError):
    """There is no such benchmark."""


class ConflictError(OpenloopError):
    """The benchmark is in no state for what is asked."""


class FullError(OpenloopError):
    """A limit of the service is reached; later it goes through."""
