"""The target's figures on the time axis: known ones by their names, others by how much they vary, each where the timeline is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fabricate import answer, beat, figure, step, write
from report_runs import HOSTILE, judged

from analysis.report import html, server_panels
from analysis.report.server_panels import ServerPanel

Row = dict[str, Any]


def run(path: Path, *figures: Row) -> Any:
    row, tokens = answer()
    return write(
        path / "run-1",
        steps=[step(offered=1, duration_s=3)],
        requests=[row],
        tokens=tokens,
        health=[beat(second=s) for s in range(4)],
        server_metrics=figures,
    )


def panels(path: Path, *figures: Row) -> list[ServerPanel]:
    con, _, _ = judged(run(path, *figures))
    found = server_panels.gather(con, 1)
    con.close()
    return found


def values(path: Path, *figures: Row) -> dict[str, list[dict[int, float]]]:
    return {p.title: [line.values for line in p.lines] for p in panels(path, *figures)}


def test_a_run_that_was_not_read_has_no_panels(tmp_path: Path) -> None:
    """And its page says nothing of it."""
    assert panels(tmp_path) == []


def test_vllm(tmp_path: Path) -> None:
    """Engines are added up, the fullest cache counts, the newer of two names is taken, a share becomes percent."""
    found = values(
        tmp_path,
        figure("vllm:num_requests_running", 3, 0.5, labels='{"engine":"0"}'),
        figure("vllm:num_requests_running", 4, 0.5, labels='{"engine":"1"}'),
        figure("vllm:num_requests_waiting", 9, 1.5),
        figure("vllm:kv_cache_usage_perc", 0.25, 0.5, labels='{"engine":"0"}'),
        figure("vllm:kv_cache_usage_perc", 0.5, 0.5, labels='{"engine":"1"}'),
        figure("vllm:gpu_cache_usage_perc", 0.9, 0.5),
        figure("vllm:other", 1, 0.5),
        figure("vllm:other", 100, 1.5),
    )
    assert found == {"requests in the target": [{0: 7.0}, {1: 9.0}], "KV cache in use, %": [{0: 50.0}]}


def test_other_servers_spell_it_otherwise(tmp_path: Path) -> None:
    """llama.cpp has no cache figure; SGLang's prefix ends in a colon or an underscore."""
    figures = [figure("llamacpp:requests_processing", 2, 0.5), figure("llamacpp:requests_deferred", 1, 0.5)]
    assert values(tmp_path / "a", *figures) == {"requests in the target": [{0: 2.0}, {0: 1.0}]}
    assert values(tmp_path / "b", figure("sglang_token_usage", 0.1, 0.5)) == {"KV cache in use, %": [{0: 10.0}]}


def test_processes(tmp_path: Path) -> None:
    """CPU time is drawn as cores, memory in MiB. A process that is watched and that tells of itself counts once."""

    def both(name: str, value: float, second: float, kind: str = "gauge") -> list[Row]:
        one = figure(name, value, second, kind=kind, labels='{"pid":"7"}')
        return [one, one | {"labels": '{"pid":"8"}'}, one | {"labels": "{}", "value": 999 * second}]

    found = values(
        tmp_path,
        *both("process_cpu_seconds_total", 1.0, 0.5, "counter"),
        *both("process_cpu_seconds_total", 1.75, 1.5, "counter"),
        *both("process_resident_memory_bytes", 2.0**20, 0.5),
        figure("something", 1, 0.5),
        figure("something", 2, 1.5),
    )
    assert found == {
        "CPU of the target, cores": [{1: 1.5}],
        "memory of the target, MiB": [{0: 2.0}],
        "something": [{0: 1.0, 1: 2.0}],
    }


def test_of_an_unknown_server_the_gauges_that_vary_most(tmp_path: Path) -> None:
    """At most three, by their spread; no counter, nothing that stands still, nothing of the runtime, no infinity."""
    moving = {"a": 1.0, "b": 5.0, "c": 2.0, "d": 9.0, "python_info": 50.0, "still": 0.0}
    figures = [figure(name, 10 + by * second, second + 0.5) for name, by in moving.items() for second in (0, 1)]
    figures += [figure("n_total", second * 100, second + 0.5, kind="counter") for second in (0, 1)]
    figures += [figure("d", float("inf"), 2.5)]
    assert list(values(tmp_path, *figures)) == ["d", "b", "c"]
    assert values(tmp_path / "x", *figures)["d"] == [{0: 10.0, 1: 19.0}]


def test_several_targets_have_panels_of_their_own(tmp_path: Path) -> None:
    """Each says whose it is."""
    figures = [figure("vllm:num_requests_running", n, 0.5, target=f"t{n}") for n in (1, 2)]
    assert values(tmp_path, *figures) == {
        "requests in the target · t1": [{0: 1.0}],
        "requests in the target · t2": [{0: 2.0}],
    }


def test_the_page_shows_them(tmp_path: Path) -> None:
    """Panels stand in the timeline's drawing; the second line has a colour of its own in the key; a hover says the figures."""
    con, report, manifest = judged(
        run(
            tmp_path,
            figure("vllm:num_requests_running", 3, 0.5),
            figure("vllm:num_requests_waiting", 9, 0.5),
        )
    )
    text = html.render(con, report, manifest)
    con.close()
    assert text.count("requests in the target</text>") == 2  # wide and narrow
    assert "waiting in the target" in text
    assert "requests in the target: 3 running, 9 waiting" in text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    """A target chooses its series' names and labels: on the page they are words, and open nothing."""
    figures = [figure(HOSTILE, v, v, labels='{"a":"</svg><img src=x onerror=alert(1)>"}') for v in (0.5, 1.5)]
    con, report, manifest = judged(run(tmp_path, *figures))
    text = html.render(con, report, manifest)
    con.close()
    assert "<img" not in text
    assert "&lt;img src=x" in text
