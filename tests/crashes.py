"""A process that is killed while it seals, as far as the folder can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generator.recording.seal import seal
from generator.run_dir import RunDir


def crash_while_sealing(run: RunDir, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal, and be gone right after the rename or removal of that number, counted from 1."""
    done = 0

    def crashing(original: Any) -> Any:
        def act(self: Path, *more: Any, **named: Any) -> Any:
            nonlocal done
            found = original(self, *more, **named)
            done += 1
            if done == after:
                raise KeyboardInterrupt
            return found

        return act

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crashing(Path.replace))
        patched.setattr(Path, "unlink", crashing(Path.unlink))
        with pytest.raises(KeyboardInterrupt):
            seal(run)
