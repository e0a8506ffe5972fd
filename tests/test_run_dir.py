"""Files of the run folder are whole or absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from generator.errors import RunFolderError
from generator.run_dir import write_whole


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told with the file's name; the old content stays and nothing half is left beside it."""
    path = tmp_path / "manifest.json"
    write_whole(path, b"old")

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match=r"manifest\.json: cannot write: No space left on device; make room"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json"]
