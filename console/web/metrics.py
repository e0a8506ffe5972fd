"""``/metrics``: the runs that go on, as ``run --prometheus`` shows one, and the service's own queue."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from console import monitoring
from console.monitoring import Moment
from console.web.runs import LATEST
from console.web.service import Service
from console.web.states import State
from generator import job
from generator.progress import Progress


class ServiceCollector(monitoring.Collector):
    """Reads when it is asked: the database for the queue, a small file for each run that goes on."""

    def __init__(self, service: Service) -> None:
        super().__init__(lambda: list(_moments(service)))
        self._service = service

    def collect(self) -> list[Metric]:
        return [*super().collect(), *self._own()]

    def collect_native(self) -> list[Metric]:
        return [*super().collect_native(), *self._own()]

    def _own(self) -> list[Metric]:
        counts = self._service.store.counts()
        states = GaugeMetricFamily("openloop_service_benchmarks", "Benchmarks in the catalogue.", labels=["state"])
        for state in State:
            states.add_metric([state], counts.get(state, 0))
        return [
            states,
            GaugeMetricFamily(
                "openloop_service_followers", "Who follows events now.", value=self._service.feeds.followers
            ),
        ]


def _moments(service: Service) -> Iterator[Moment]:
    for row in service.store.in_state(State.RUNNING):
        try:
            data = (service.queue.folder(row.id) / LATEST).read_bytes()
            yield {"run": row.id, "scenario": row.name}, job.load(Progress, data)
        except (OSError, TypeError, ValueError, KeyError):
            continue  # it has not begun to tell
