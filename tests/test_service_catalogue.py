"""The catalogue in SQLite and in PostgreSQL: its tables are what the migrations make, lists are right, states move once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from services import QUICK, client, over, settings, submitted
from store_servers import postgresql

from console.web import importing
from console.web.catalogue.database import opened
from console.web.catalogue.deliveries import Deliveries
from console.web.catalogue.store import Filter, Point, Store
from console.web.catalogue.tables import Base, BenchmarkRow, storable
from console.web.states import Event, State
from generator.errors import RunFolderError


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("catalogue")
    if request.param == "sqlite":
        yield f"sqlite:///{path / 'c.sqlite'}"
        return
    with postgresql() as found:
        yield found


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    found = Store(url)
    for row_id in found.origins():
        found.drop(row_id)
    yield found
    found.close()


def row(number: int, **given: Any) -> BenchmarkRow:
    usual = {
        "id": f"r{number:05}",
        "name": "n",
        "state": State.COMPLETED,
        "origin": "api",
        "created_ms": 1_000 + number,
    }
    return BenchmarkRow(**usual | given)


def test_migrations_make_the_tables(url: str) -> None:
    """Nothing that the models say is missing in a migrated database, and nothing is too much; migrating again changes nothing."""
    for _ in range(2):
        engine = opened(url)
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        engine.dispose()


def test_ten_thousand_are_listed_right(store: Store) -> None:
    """Filters, sorting with unknown figures last, pages and totals over a full catalogue."""
    with store.session.begin() as s:
        s.add_all(
            row(
                n,
                name=f"scenario-{n % 7}",
                model="m%" if n % 5 else "other_",
                ttft_p99_ms=None if n % 3 == 0 else float(n),
            )
            for n in range(10_000)
        )
    found = store.page(Filter(size=20, page=3))
    assert (found.total, [r.id for r in found.rows][:2]) == (10_000, ["r09959", "r09958"])
    found = store.page(Filter(name="SCENARIO-3", model="%", sort="-ttft_p99_ms", size=3))
    wanted = [n for n in range(10_000) if n % 7 == 3 and n % 5]
    assert found.total == len(wanted)
    assert [r.ttft_p99_ms for r in found.rows] == [float(n) for n in sorted(wanted, reverse=True) if n % 3][:3]
    last = store.page(Filter(name="scenario-3", sort="ttft_p99_ms", size=500, page=3))
    assert last.rows[-1].ttft_p99_ms is None
    assert store.counts() == {"completed": 10_000}


def test_what_reads_many_reads_no_submission(store: Store) -> None:
    """A submission may be megabytes: lists, the queue's look and histories leave it in the database, where one alone is read whole."""
    store.add(row(1, state=State.QUEUED, scenario="s", submission={"prompts": ["p"]}))
    store.add(row(2, scenario="s", submission={"prompts": ["p"]}))
    store.set_figures("r00002", {}, [Point(0, "step", "ttft_p99_ms", 1.0)])
    many = [
        *store.page(Filter()).rows,
        *store.in_state(State.QUEUED),
        *(found for found, _ in store.history("n", ["ttft_p99_ms"], 10)),
        *(found[0] for number in (1, 2) if (found := store.get(f"r0000{number}", short=True))),
    ]
    assert len(many) == 6
    assert not [name for found in many for name in ("scenario", "submission") if name in vars(found)]
    whole = store.get("r00001")
    assert whole
    assert (whole[0].scenario, whole[0].submission) == ("s", {"prompts": ["p"]})


def test_states_move_once(store: Store) -> None:
    """Of many that start the same benchmark at once one succeeds; what is over stays over."""
    assert store.add(row(1, state=State.QUEUED), ["a", "a", "b"])
    assert not store.add(row(1, state=State.QUEUED))
    won: list[bool] = []
    threads = [threading.Thread(target=lambda: won.append(store.move("r00001", Event.START))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]
    assert store.move("r00001", Event.END, exit_code=0)
    assert not store.move("r00001", Event.STOP)
    found = store.get("r00001")
    assert found is not None
    assert (found[0].state, found[0].exit_code, found[1]) == ("completed", 0, ["a", "b"])


def test_figures_are_replaced_and_go_with_their_benchmark(store: Store) -> None:
    """Setting them twice leaves one copy; deleting leaves nothing, the log of webhooks included."""
    store.add(row(1, name="trend"), ["t"])
    points = [Point(0, "10/s", "ttft_p99_ms", 5.0, 4.0, 6.0), Point(1, "20/s", "ttft_p99_ms", 7.0)]
    for _ in range(2):
        store.set_figures("r00001", {"requests": 10, "ttft_p99_ms": 7.0}, points)
    found = store.history("trend", ["ttft_p99_ms"], 10)
    assert [(f.label, f.value, f.low, f.high) for _, f in found] == [("10/s", 5.0, 4.0, 6.0), ("20/s", 7.0, None, None)]
    deliveries = Deliveries(store)
    deliveries.plan("r00001", "http://a", 1, 5)
    assert [d.attempt for d in deliveries.due(5)] == [1]
    assert list(deliveries.due(4)) == []
    store.drop("r00001")
    assert store.history("trend", ["ttft_p99_ms"], 10) == []
    assert list(deliveries.of("r00001")) == []
    deliveries.plan("r00001", "http://a", 1, 5)
    assert list(deliveries.due(9)) == []


def test_a_history_is_of_the_newest_runs(store: Store) -> None:
    """As many as were asked for, oldest first, of that name alone and only of what is over."""
    for n in range(6):
        store.add(row(n, name="h" if n % 2 else "other"))
        store.set_figures(f"r{n:05}", {}, [Point(0, "s", "cost_usd", float(n))])
    store.add(row(9, name="h", state=State.RUNNING))
    assert [f.value for _, f in store.history("h", ["cost_usd"], 2)] == [3.0, 5.0]


def test_a_service_over_any_database(url: str, tmp_path: Path) -> None:
    """A benchmark is taken, run and listed with its figures."""
    with client(settings(tmp_path, database_url=url)) as c:
        found = over(c, submitted(c, scenario=QUICK, name="over a database"))
        assert found["state"] == "completed", found["error"]
        assert found["summary"]["requests"] == 6
        c.delete(f"/benchmarks/{found['id']}")


@pytest.mark.parametrize(
    "wrong",
    [
        "nothing",
        "mysql://u:s3cret@h/d",
        "postgresql://u:s3cret@127.0.0.1:1/d?connect_timeout=2",
        "sqlite:////proc/none/c.sqlite",
    ],
)
def test_a_database_that_cannot_be_opened_is_told_without_its_password(wrong: str) -> None:
    """One error of ours, in words, with no password in it."""
    with pytest.raises(RunFolderError) as told:
        opened(wrong)
    assert "s3cret" not in str(told.value)
    assert told.value.__cause__ is None


def test_only_folders_that_can_be_an_id_are_looked_at(tmp_path: Path) -> None:
    """Others could be listed and never asked for, and PostgreSQL would refuse the long ones."""
    for name in ("good-1", ".service", "a b", "x" * 101):
        (tmp_path / name).mkdir()
    assert importing.names(tmp_path) == {"good-1"}


def test_words_of_a_target_fit_any_database() -> None:
    """PostgreSQL refuses U+0000 in a text, and a text that is longer than its column."""
    assert storable("a\0b") == "a\ufffdb"
    assert storable("m" * 300, 200) == "m" * 200
