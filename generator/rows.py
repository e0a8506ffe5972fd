"""The layout of a token row in memory: 32 bytes, packed once in the decoder, turned into columns by the recorder's thread."""

from __future__ import annotations

from struct import Struct

TOKEN = Struct("<qqiiihBB")
"""request_id, t_ns, chunk_index, read_index, n_chars, n_tokens (UNKNOWN where not known), kind, exact."""

UNKNOWN = -1

CONTENT, REASONING, TOOL, REFUSAL = range(4)
"""Positions in ``schema.KINDS``."""

FIELDS = (
    ("request_id", "<i8"),
    ("t_ns", "<i8"),
    ("chunk_index", "<i4"),
    ("read_index", "<i4"),
    ("n_chars", "<i4"),
    ("n_tokens", "<i2"),
    ("kind", "u1"),
    ("exact", "u1"),
)
"""The same layout as a numpy dtype."""
