"""OpenAI's older completions API, which vLLM, llama.cpp, TGI and others still speak: a text in, its continuation out, no roles."""

from __future__ import annotations

from typing import Any

from generator.apis.api import Call, Decoder, Encoded, RowSink
from generator.apis.bodies import post, transcript
from generator.apis.choices import NOWHERE, ChoicesDecoder, Place
from generator.rows import CONTENT


class OpenAICompletions:
    """The API ``openai-completions``. A conversation is sent as one text, see ``bodies.transcript``."""

    name = "openai-completions"

    def encode(self, call: Call) -> Encoded:
        prompt = transcript(call.messages, reply=True) if call.messages else call.prompt
        body: dict[str, Any] = {"model": call.model, "prompt": prompt}
        if call.max_tokens is not None:
            body[call.max_tokens_field or "max_tokens"] = call.max_tokens
        if call.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return post("/completions", body, call, stream=call.stream)

    def auth(self, key: str) -> tuple[str, str]:
        return "authorization", f"Bearer {key}"

    def decoder(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> Decoder:
        return CompletionsDecoder(request_id, content_type, sink, keep_text)


class CompletionsDecoder(ChoicesDecoder):
    """A choice's payload is its ``text``, in a chunk and in a document alike; log-probabilities are not looked at."""

    __slots__ = ()

    def _payload(self, choice: dict[str, Any], whole: bool) -> tuple[int | None, int]:  # noqa: ARG002 - chat's differ
        text = choice.get("text")
        if not text or text.__class__ is not str:
            return None, 0
        self._keep(CONTENT, text)
        return CONTENT, len(text)

    def _place(self, choice: dict[str, Any]) -> Place:
        # Log-probabilities differ from chunk to chunk: no template would ever fit.
        return NOWHERE if choice.get("logprobs") else (choice["text"], _text)


def _text(chunk: Any) -> Any:
    return chunk["choices"][0]["text"]
