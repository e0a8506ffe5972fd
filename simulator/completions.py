"""OpenAI's older text completions, as vLLM and llama.cpp still serve them: no roles, no reasoning, no chat template."""

from __future__ import annotations

from typing import Any

from simulator.asked import Asked, BadRequestError, json_object, length_of, model_of
from simulator.chat import OpenAIForm, finish_reason, usage, usage_style
from simulator.connection import HttpRequest
from simulator.form import Said, Shape
from simulator.settings import Settings
from simulator.words import fingerprint


def parse(request: HttpRequest, settings: Settings) -> Asked:
    """One prompt: a text, a list with one text, or a list of token numbers, each of which counts as a word."""
    asked = json_object(request.body)
    prompt: Any = asked.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and not isinstance(prompt[0], int):
        prompt = prompt[0]
    numbers = isinstance(prompt, list) and bool(prompt) and all(isinstance(token, int) for token in prompt)
    if not isinstance(prompt, str) and not numbers:
        raise BadRequestError("'prompt' must be one text or one list of token numbers", "prompt")
    return Asked(
        model=model_of(asked),
        words=len(prompt.split()) if isinstance(prompt, str) else len(prompt),
        stream=asked.get("stream") is True,
        max_tokens=length_of(asked, ("max_tokens",), settings.output_tokens_max),
        templated=False,
        style=usage_style(asked, settings),
        roles=["user"],
        message_hashes=[fingerprint(prompt if isinstance(prompt, str) else str(prompt))],
    )


class CompletionForm(OpenAIForm):
    prefix = "cmpl-"
    kind = "text_completion"

    def event(self, shape: Shape, index: int, _kind: str, text: str) -> bytes:
        return self._chunk(shape, _choice(text), self._so_far(shape, index))

    def opening(self, _shape: Shape) -> list[bytes]:
        return []

    def closing(self, shape: Shape, _said: Said) -> list[bytes]:
        return self._end(shape, _choice("", finish_reason(shape)))

    def document(self, shape: Shape, said: Said) -> Any:
        return self._object(shape, self.kind, _choice(said.content, finish_reason(shape)), usage=usage(shape))


def _choice(text: str, finished: str | None = None) -> list[Any]:
    return [{"index": 0, "text": text, "logprobs": None, "finish_reason": finished}]
