"""Every API by the name that a scenario gives it."""

from __future__ import annotations

from collections.abc import Callable

from generator.apis.api import Api
from generator.apis.openai_chat import OpenAIChat
from generator.job import Target

_MAKE: dict[str, Callable[[Target], Api]] = {"openai-chat": lambda _: OpenAIChat()}

NAMES = tuple(_MAKE)


def make(target: Target) -> Api:
    """The API that ``target`` speaks. Raises KeyError for a name that is not in NAMES."""
    return _MAKE[target.api](target)
