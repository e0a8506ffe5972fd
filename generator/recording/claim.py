"""Who writes into a run folder claims it, so that sealing does not take the segments of a run that goes on.

A claim is a lock of the kernel on ``counters.bin``: it ends with the process that holds it, however that ends. A file system that
knows no such locks gives no protection, and hinders nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator

from generator.errors import RunFolderError
from generator.run_dir import RunDir

PATIENCE_S = 20.0
"""Workers whose coordinator died need a few seconds to write what they have."""

_LOOK_S = 0.1
_HELD = (errno.EAGAIN, errno.EACCES)


def share(run: RunDir) -> int:
    """A worker's claim, beside those of others: the descriptor that holds it until it is closed or the process ends."""
    fd = os.open(run.counters_path, os.O_RDONLY | os.O_CLOEXEC)
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_SH)
    return fd


@contextlib.contextmanager
def alone(run: RunDir, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """The folder without any writer. Raises RunFolderError where one stays."""
    try:
        fd = os.open(run.counters_path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # no worker was ever started here
        yield
        return
    try:
        for _ in range(int(patience_s / _LOOK_S) + 1):
            if _locked(fd):
                break
            time.sleep(_LOOK_S)
        else:
            raise RunFolderError(f"{run.path}: the run goes on: its workers still write; end it first, then seal it")
        yield
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        return e.errno not in _HELD
    return True
