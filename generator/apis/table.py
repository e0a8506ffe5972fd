"""Every API by the name that a scenario gives it."""

from __future__ import annotations

from collections.abc import Callable

from generator.apis.anthropic_messages import AnthropicMessages
from generator.apis.api import Api
from generator.apis.openai_chat import OpenAIChat
from generator.apis.openai_completions import OpenAICompletions
from generator.apis.openai_embeddings import OpenAIEmbeddings
from generator.apis.openai_responses import OpenAIResponses
from generator.job import Http, Target


def _http_json(target: Target) -> Api:
    # Late: no other API needs a JSONPath library.
    from generator.apis.http_json import HttpJson

    return HttpJson(target.http or Http())


_MAKE: dict[str, Callable[[Target], Api]] = {
    "openai-chat": lambda _: OpenAIChat(),
    "openai-completions": lambda _: OpenAICompletions(),
    "openai-responses": lambda _: OpenAIResponses(),
    "anthropic-messages": lambda _: AnthropicMessages(),
    "openai-embeddings": lambda _: OpenAIEmbeddings(),
    "http-json": _http_json,
}

NAMES = tuple(_MAKE)


def make(target: Target) -> Api:
    """The API that ``target`` speaks. Raises KeyError for a name that is not in NAMES."""
    return _MAKE[target.api](target)
