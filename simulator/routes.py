"""Which path is which API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator import chat, completions, embeddings, messages, plain, responses, troubles
from simulator.asked import Asked
from simulator.connection import HttpRequest
from simulator.form import Form
from simulator.settings import Settings


@dataclass(frozen=True, slots=True)
class Api:
    """``shape``: of :mod:`simulator.troubles`. ``parse`` raises :class:`BadRequestError`. ``reasons``: it can carry reasoning."""

    name: str
    shape: str
    parse: Callable[[HttpRequest, Settings], Asked]
    form: type[Form]
    reasons: bool = True
    any_method: bool = False


CHAT = Api("openai-chat", troubles.OPENAI, chat.parse, chat.ChatForm)
COMPLETIONS = Api("openai-completions", troubles.OPENAI, completions.parse, completions.CompletionForm, reasons=False)
RESPONSES = Api("openai-responses", troubles.OPENAI, responses.parse, responses.ResponseForm)
EMBEDDINGS = Api("openai-embeddings", troubles.OPENAI, embeddings.parse, embeddings.EmbeddingForm, reasons=False)
MESSAGES = Api("anthropic-messages", troubles.ANTHROPIC, messages.parse, messages.MessageForm)
PLAIN = Api("http-json", troubles.PLAIN, plain.parse, plain.PlainForm, reasons=False, any_method=True)
PREDICT = Api("http-json", troubles.PLAIN, plain.parse, plain.PlainForm, reasons=False)

PLAIN_PREFIX = "/plain/"
BELOW_BASE = {
    "/chat/completions": CHAT,
    "/completions": COMPLETIONS,
    "/responses": RESPONSES,
    "/embeddings": EMBEDDINGS,
    "/messages": MESSAGES,
    "/predict": PREDICT,
}
"""Path after the base → API; all of them are POST."""


class Routes:
    """The paths of one endpoint under its base."""

    def __init__(self, base: str) -> None:
        self._apis = {base + path: api for path, api in BELOW_BASE.items()}
        self.models = f"{base}/models"
        self._pages = {self.models: "GET", "/health": "GET", "/metrics": "GET", "/tokenize": "POST"}

    def api(self, path: str) -> Api | None:
        if path.startswith(PLAIN_PREFIX):
            return PLAIN
        return self._apis.get(path)

    def method(self, path: str) -> str | None:
        """The method that ``path`` wants, None where any will do or there is no such path."""
        api = self.api(path)
        if api is None:
            return self._pages.get(path)
        return None if api.any_method else "POST"

    def known(self, path: str) -> bool:
        return path in self._pages or self.api(path) is not None

    def names(self) -> str:
        return ", ".join([*self._apis, f"{PLAIN_PREFIX}…", *self._pages])
