"""What the machine has, as its kernel tells it."""

import resource

import pytest

from generator import machine


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A /proc and a /sys/fs/cgroup made of files."""
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)), raising=False)

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_this_machine():
    """Real figures are positive and the soft limit is within the hard one."""
    here = machine.look()
    assert 0 < here.descriptors_soft <= here.descriptors_hard
    assert here.ports > 0
    assert here.cpus > 0


def test_a_container_is_what_its_quota_leaves(fake):
    """A quota of 2.5 processors and 3 GiB of memory within a larger machine."""
    fake(
        proc__sys__net__ipv4__ip_local_port_range="32768\t60999\n",
        proc__net__sockstat="sockets: used 9\nTCP: inuse 3 orphan 0 tw 17 alloc 4 mem 1\n",
        proc__meminfo="MemTotal: 99 kB\nMemAvailable: 8388608 kB\n",
        cgroup__cpu_DOT_max="250000 100000\n",
        cgroup__memory_DOT_max=f"{3 * 2**30}\n",
        cgroup__memory_DOT_current=f"{2**30}\n",
    )
    here = machine.look()
    assert (here.ports, here.ports_in_time_wait, here.cpus, here.memory_bytes) == (28232, 17, 2.5, 2 * 2**30)
    assert machine.default_workers(here) == 1


def test_a_machine_that_tells_nothing(fake):
    """Without /proc and without a quota: the processors of the affinity, the dynamic ports of RFC 6335, unknown memory."""
    here = machine.look()
    assert (here.ports, here.ports_in_time_wait, here.cpus, here.memory_bytes) == (16_384, 0, 16.0, None)
    assert machine.default_workers(here) == 15


def test_a_quota_without_bound(fake):
    """``max`` is no limit."""
    fake(cgroup__cpu_DOT_max="max 100000\n", cgroup__memory_DOT_max="max\n", proc__meminfo="MemAvailable: 4 kB\n")
    here = machine.look()
    assert (here.cpus, here.memory_bytes) == (16.0, 4096)


def test_the_soft_limit_is_raised_to_the_hard_one(monkeypatch):
    """The limit that holds afterwards is told; a refusal leaves the old one."""
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: asked.append(limits))
    assert machine.raise_soft_limit() == 4096
    assert asked == [(4096, 4096)]

    def refuse(what, limits):
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert machine.raise_soft_limit() == 256
