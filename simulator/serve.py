"""Processes: one listener each on one port, ready together, stopped together, truth flushed by each."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import closing, suppress

from simulator.server import Server
from simulator.settings import Settings, SettingsError
from simulator.truth import Log

BACKLOG = 8_192
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# The thread that writes the truth log holds the interpreter for at most this long while tokens wait.
_SWITCH_INTERVAL_S = 0.000_2


def listen(settings: Settings, port: int) -> socket.socket:
    """A bound socket that does not listen yet: with SO_REUSEPORT such a one takes no connections, but keeps the port."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if settings.processes > 1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((settings.host, port))
    except OSError as error:
        sock.close()
        raise SettingsError(f"simulator: cannot listen on {settings.host} port {port}: {error.strerror}") from None
    sock.setblocking(False)
    return sock


def url(settings: Settings, port: int) -> str:
    scheme = "http" if settings.tls_cert is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{port}{settings.base}"


def run(settings: Settings, *, until_stdin_closes: bool) -> int:
    """Serves until a signal, or the end of stdin; prints one JSON line when every process listens. Returns the exit code."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stopped, wake = os.pipe()
    _stop_on_signals(wake)
    first = listen(settings, settings.port)
    port = first.getsockname()[1]

    def ready(pids: list[int]) -> None:
        print(json.dumps({"url": url(settings, port), "port": port, "pids": pids}), flush=True)

    if settings.processes == 1:
        with closing(_Control([stopped, sys.stdin.fileno()] if until_stdin_closes else [stopped])) as control:
            return _serve(settings, first, control.fd, 0, lambda: ready([os.getpid()]))
    signal.signal(signal.SIGCHLD, lambda *_: os.write(wake, b"."))
    return _parent(settings, port, stopped, ready, until_stdin_closes=until_stdin_closes)


def _stop_on_signals(wake: int) -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: os.write(wake, b"."))


class _Control:
    """Several descriptors as one: readable when any is, and at once if one is a file or closed (stdin from /dev/null)."""

    def __init__(self, fds: list[int]) -> None:
        self._epoll = select.epoll()
        self.fd = self._epoll.fileno()
        self._spare = os.pipe()
        for fd in fds:
            try:
                self._epoll.register(fd, select.EPOLLIN)
            except PermissionError:
                self._epoll.register(self._spare[0], select.EPOLLIN)
                os.write(self._spare[1], b".")

    def close(self) -> None:
        self._epoll.close()
        for fd in self._spare:
            os.close(fd)


def _serve(settings: Settings, listener: socket.socket, control: int, process: int, ready: Callable[[], object]) -> int:
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    log = None if settings.truth is None else Log(settings.truth, process)
    try:
        server = Server(settings, listener, control, process, log)
        listener.listen(BACKLOG)
        ready()
        server.run()
    finally:
        listener.close()
        if log is not None:
            log.close()
    return 0


def _parent(
    settings: Settings, port: int, stopped: int, ready: Callable[[list[int]], None], *, until_stdin_closes: bool
) -> int:
    """Forks, before any thread or library state exists, and waits until told to stop or until a child ends.

    Children end when the parent's end of their pipe closes, so that a killed parent leaves no orphan.
    """
    lifeline, hold = os.pipe()
    told, tell = os.pipe()
    pids: list[int] = []
    for process in range(settings.processes):
        pid = os.fork()
        if pid == 0:
            os.close(hold)
            os.close(told)
            os._exit(_child(settings, port, lifeline, tell, process))
        pids.append(pid)
    os.close(tell)
    os.close(lifeline)
    started = 0
    while started < len(pids) and stopped not in select.select([told, stopped], [], [])[0]:
        started += len(os.read(told, 1))
    if started == len(pids):
        ready(pids)
        with closing(_Control([stopped, sys.stdin.fileno()] if until_stdin_closes else [stopped])) as control:
            select.select([control.fd], [], [])
    os.close(hold)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    return 0 if started == len(pids) and not any(codes) else 1


def _child(settings: Settings, port: int, lifeline: int, tell: int, process: int) -> int:
    stopped, wake = os.pipe()
    _stop_on_signals(wake)
    code = 1
    try:
        with closing(_Control([stopped, lifeline])) as control:
            code = _serve(settings, listen(settings, port), control.fd, process, lambda: os.write(tell, b"."))
    except (OSError, SettingsError) as error:
        print(f"simulator: process {process}: {error}", file=sys.stderr)
    return code
