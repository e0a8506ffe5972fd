"""Standard output and error, made fit for what is written there, whatever the locale and whoever started us."""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from pathlib import Path
from typing import TextIO


def make_ready() -> None:
    """Closed ones swallow what is said. Where a file or a program reads, text is UTF-8 (JSON and the page of a report have to be); a
    terminal of another encoding gets ``?`` for what it cannot show. No character of a model's answer can be what ends a report.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us: `>&-`
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8", errors="replace"))  # noqa: SIM115 - for good
        elif isinstance(stream, io.TextIOWrapper):
            if codecs.lookup(stream.encoding).name == "utf-8":
                stream.reconfigure(errors="backslashreplace")
            elif stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def forget_lost() -> None:
    """From here on, what is said to a terminal that was closed or to a pipe whose reader left goes nowhere, and is no error: the exit code
    says how the run ended, whether anybody listens or not.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            fd = stream.fileno()
        except (OSError, ValueError):  # not a file of the system's
            continue
        poll = select.poll()
        poll.register(fd, 0)
        if poll.poll(0):  # nothing was asked for, so it can only be an error or a hang-up
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, fd)
            os.close(null)


def is_screen(out: TextIO) -> bool:
    """Whether ``out`` is a terminal that colours and redraws; one without (``TERM=dumb``) gets the lines that a file gets: rich would cut
    every table to 80 columns there.
    """
    return out.isatty() and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}
