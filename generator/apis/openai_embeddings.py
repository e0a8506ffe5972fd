"""OpenAI Embeddings: a text in, a vector out, in one document. There is nothing to stream and no output token: the time that
counts ends at ``done_ns``.
"""

from __future__ import annotations

from typing import Any

from generator.apis.api import Call, Decoder, Encoded, RowSink
from generator.apis.bodies import post, transcript
from generator.apis.events import EventDecoder
from generator.apis.failures import malformed
from generator.apis.fields import count, word


class OpenAIEmbeddings:
    """The API ``openai-embeddings``. ``max_tokens`` and ``stream`` of a call mean nothing to it."""

    name = "openai-embeddings"

    def encode(self, call: Call) -> Encoded:
        text = transcript(call.messages, reply=False) if call.messages else call.prompt
        return post("/embeddings", {"model": call.model, "input": text}, call, stream=False)

    def auth(self, key: str) -> tuple[str, str]:
        return "authorization", f"Bearer {key}"

    def decoder(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> Decoder:  # noqa: ARG002 - whatever the type
        return EmbeddingsDecoder(request_id, "", sink, keep_text)


class EmbeddingsDecoder(EventDecoder):
    """Complete is a list ``data`` of embeddings, each a list of numbers or, as asked for, their base64."""

    __slots__ = ()

    def _sniff(self, payload: bytes) -> None:  # noqa: ARG002 - whatever it is, it is no stream
        self._sniffed = True
        self._document = bytearray()
        self.answer.streamed = False

    def _read_document(self, document: dict[str, Any], data: bytes) -> None:
        answer = self.answer
        vectors = document.get("data")
        if not isinstance(vectors, list) or not vectors or not all(map(_is_embedding, vectors)):
            self._fail(malformed(data))
            return
        answer.response_id = word(document.get("id"))
        usage = document.get("usage")
        if isinstance(usage, dict):
            answer.input_tokens = count(usage.get("prompt_tokens"))
        answer.terminal = True


def _is_embedding(item: Any) -> bool:
    return isinstance(item, dict) and bool(item.get("embedding")) and isinstance(item["embedding"], list | str)
