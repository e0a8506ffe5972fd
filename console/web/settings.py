"""What whoever starts the service decides: where it listens, where it keeps things, what visitors may ask of it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from console.web import capacity


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large one benchmark may be."""

    steps: int = 500
    requests: int = 1_000_000
    duration_s: float = 6 * 3600.0
    in_flight: int = 8192
    rate_rps: float = 10_000.0
    workers: int = 16


@dataclass(frozen=True, slots=True)
class Limits(Sizes):
    """The most that one visitor, or all together, may ask. What is above is refused with the limit named."""

    body_bytes: int = 2_000_000
    scenario_bytes: int = 200_000
    prompts: int = 10_000
    queue: int = 100
    followers: int = 500
    rows: int = 10_000
    answer_bytes: int = 64_000_000
    query_s: float = 30.0
    analysis_s: float = 120.0
    memory_bytes: int = field(default_factory=lambda: capacity.query_bytes(capacity.total_bytes()))
    """DuckDB's, in a query."""
    report_bytes: int = field(default_factory=lambda: capacity.report_bytes(capacity.total_bytes()))
    queries_at_once: int = field(default_factory=lambda: capacity.at_once(capacity.total_bytes()))
    reports_at_once: int = field(default_factory=lambda: capacity.at_once(capacity.total_bytes()))
    """Plans and comparisons among them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``allow_targets`` None: any target, which only a service on loopback may have. ``token`` None: no token is asked for."""

    runs_dir: Path
    host: str = "127.0.0.1"
    port: int = 8765
    database_url: str | None = None
    token: str | None = field(default=None, repr=False)
    allow_hosts: tuple[str, ...] = ()
    allow_targets: tuple[str, ...] | None = None
    allow_env: tuple[str, ...] = ()
    data_dir: Path | None = None
    target: str = "simulator"
    provider: str | None = None
    model: str | None = None
    webhook_hosts: tuple[str, ...] = ()
    webhook_private: bool = False
    webhook_secret: str | None = field(default=None, repr=False)
    per_target: int = 1
    at_once: int = 2
    tls_cert: Path | None = None
    tls_key: Path | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        # Boxes work in another folder, where a relative name would be another file's.
        object.__setattr__(self, "runs_dir", self.runs_dir.resolve())
        if self.data_dir is not None:
            object.__setattr__(self, "data_dir", self.data_dir.resolve())

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return is_loopback(self.host)

    @property
    def tls(self) -> bool:
        """Whether the service itself speaks https. A proxy in front that does is another matter."""
        return self.tls_cert is not None

    @property
    def own_dir(self) -> Path:
        """What the service keeps beside the runs: submitted scenarios, progress, its database. Not a run folder."""
        return self.runs_dir / ".service"

    @property
    def prompts_dir(self) -> Path:
        """Of prompts that were submitted; scenarios may name its files."""
        return self.own_dir / "prompts"

    def url_of_database(self) -> str:
        return self.database_url or f"sqlite:///{self.own_dir / 'catalogue.sqlite'}"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
