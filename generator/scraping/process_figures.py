"""What a process of this machine takes, with its children: CPU time, memory, threads, open files, as Prometheus' clients name them."""

from __future__ import annotations

import psutil

from generator.scraping.exposition import Reading, label_text


class Watched:
    """One process by its id. CPU time never falls: what an ended child took is kept.

    Memory is the sum of resident sets, so that pages which processes share count once a process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._labels = label_text({"pid": str(pid)})
        self._root: psutil.Process | None = None
        self._cpu_s: dict[tuple[int, float], float] = {}

    def read(self) -> list[Reading]:
        """Raises LookupError where the process is not there, or is another one than at first."""
        try:
            self._root = self._root or psutil.Process(self._pid)
            if not self._root.is_running() or self._root.status() == psutil.STATUS_ZOMBIE:
                raise LookupError(f"process {self._pid} has ended")
            family = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            raise LookupError(f"there is no process {self._pid}") from None
        rss_bytes = threads = files = 0
        files_known = True
        for process in family:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    self._cpu_s[process.pid, process.create_time()] = times.user + times.system
                    rss_bytes += process.memory_info().rss
                    threads += process.num_threads()
                    files += process.num_fds()
            except psutil.NoSuchProcess:  # a child that ended meanwhile
                continue
            except psutil.AccessDenied:  # another user's: all but the files can be seen
                files_known = False
        found = [
            Reading("process_cpu_seconds_total", self._labels, "counter", sum(self._cpu_s.values())),
            Reading("process_resident_memory_bytes", self._labels, "gauge", float(rss_bytes)),
            Reading("process_threads", self._labels, "gauge", float(threads)),
        ]
        if files_known:
            found.append(Reading("process_open_fds", self._labels, "gauge", float(files)))
        return found
