"""OpenAI embeddings: one vector an input, never streamed; it takes as long as the model's first token."""

from __future__ import annotations

import base64
import random
from array import array
from dataclasses import dataclass
from typing import Any

from simulator import troubles, wire
from simulator.asked import Asked, BadRequestError, Conversation, json_object, length_of, model_of
from simulator.connection import HttpRequest
from simulator.form import Form, Said, Shape
from simulator.settings import Settings

DIMENSIONS = 256
DIMENSIONS_MAX = 4_096
INPUTS_MAX = 2_048
_RNG = random.Random(0)
_VECTOR = [round(_RNG.uniform(-1, 1), 6) for _ in range(DIMENSIONS_MAX)]  # every text's: nobody measures what it means


@dataclass(frozen=True, slots=True)
class Wanted:
    inputs: int
    dimensions: int
    as_base64: bool


def parse(request: HttpRequest, settings: Settings) -> Asked:
    """``input``: a text, token numbers (each counts as a word), or a list of either."""
    asked = json_object(request.body)
    given = asked.get("input")
    inputs = given if isinstance(given, list) and not _is_numbers(given) else [given]
    if not 1 <= len(inputs) <= INPUTS_MAX:
        raise BadRequestError(f"'input' holds between 1 and {INPUTS_MAX} texts", "input")
    said = Conversation()
    for item in inputs:
        if isinstance(item, str) and item:
            said.take("input", item)
        elif _is_numbers(item):
            said.take("input", str(item))
        else:
            raise BadRequestError("'input' must be texts that are not empty, or lists of token numbers", "input")
    dimensions = length_of(asked, ("dimensions",), min(DIMENSIONS_MAX, settings.output_tokens_max))
    as_base64 = asked.get("encoding_format", "float")
    if as_base64 not in ("float", "base64"):
        raise BadRequestError("'encoding_format' is float or base64", "encoding_format")
    return Asked(
        model=model_of(asked),
        words=said.words,
        stream=False,
        templated=False,
        generates=False,
        more=Wanted(len(inputs), dimensions or DIMENSIONS, as_base64 == "base64"),
        roles=said.roles,
        message_hashes=said.hashes,
    )


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(token, int) for token in value)


class EmbeddingForm(Form):
    prefix = "embd-"

    def _is_ordered(self) -> bool:
        return True

    def headers(self, processing_ms: int) -> wire.Headers:
        return [(b"openai-processing-ms", b"%d" % processing_ms)]

    def document(self, shape: Shape, _said: Said) -> Any:
        wanted: Wanted = shape.asked
        vector: list[float] | str = _VECTOR[: wanted.dimensions]
        if wanted.as_base64:
            vector = base64.b64encode(array("f", _VECTOR[: wanted.dimensions]).tobytes()).decode()
        data = [{"object": "embedding", "index": n, "embedding": vector} for n in range(wanted.inputs)]
        counts = {"prompt_tokens": shape.input_tokens, "total_tokens": shape.input_tokens}
        return {"object": "list", "data": data, "model": self.model, "usage": counts}

    def trouble_document(self, _shape: Shape, kind: str, message: str) -> Any:
        return troubles.document(troubles.OPENAI, kind, message)
