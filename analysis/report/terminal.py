"""Reports as plain lines: one console for all of them, which writes into memory."""

from __future__ import annotations

import io

from rich.console import Console


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

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._out.getvalue().split("\n")).rstrip() + "\n"
