"""Reports as plain lines: one console for all of them, which writes into memory."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_NO_END = 10_000


class Lines(Console):
    """A console of ``width`` columns whose output ``text`` gives, without blanks at the ends of lines; ``colour`` adds ANSI codes. What is
    printed is text: rich's own markup, emoji and highlighting are off, so that nothing that a target said is taken for them.
    """

    def __init__(self, width: int, colour: bool) -> None:
        self._out = io.StringIO()
        super().__init__(
            file=self._out,
            width=width,
            force_terminal=colour,
            color_system="standard" if colour else None,
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
        )

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's, but a table that is wider than the console is printed whole: of a figure that is cut off nobody knows what it says."""
        width = self.width
        wanted = [
            Measurement.get(self, self.options.update(max_width=_NO_END), o) for o in objects if isinstance(o, Table)
        ]
        self.width = max(width, *(m.maximum for m in wanted), 0)
        super().print(*objects, **options)
        self.width = width

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._out.getvalue().split("\n")).rstrip() + "\n"
