"""The measurements measure right: joins and sums on data whose answer is known by hand, and native programs that really run."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import cost, harness, pacing, processes, real_model, real_target, scale, truth
from benchmarks.cpu import Sample, cpu_between
from simulator.truth import REQUESTS, TOKENS
from tests.fabricate import MS, RUN, US, answer, request, token, write

S = 1_000_000_000
needs_compiler = pytest.mark.skipif(
    shutil.which("gcc") is None and shutil.which("cc") is None, reason="no C compiler: apt-get install gcc libc6-dev"
)


def write_truth(folder: Path, answers: dict[int, list[int]], received_ns: dict[int, int]) -> Path:
    """A truth log: request_id → write_ns of each chunk."""
    folder.mkdir()
    requests, tokens = [], []
    for number, (request_id, writes) in enumerate(answers.items()):
        row = dict.fromkeys(REQUESTS.names) | {"request_number": number, "process": 0, "connection": 0, "api": "x"}
        row |= {"x_request_id": f"{RUN}-{request_id}", "received_ns": received_ns[request_id], "outcome": "ok"}
        requests.append(row | {"ended_ns": writes[-1]})
        tokens += [
            {"request_number": number, "chunk_index": i, "due_ns": w, "write_ns": w, "complete": True}
            for i, w in enumerate(writes)
        ]
    pq.write_table(pa.Table.from_pylist(requests, REQUESTS), folder / "truth-requests-0.parquet")
    pq.write_table(pa.Table.from_pylist(tokens, TOKENS), folder / "truth-tokens-0.parquet")
    return folder


def test_errors_of_stamps_are_those_put_in(tmp_path):
    """Each stamp is 3 µs after its write but one, which is 30 µs after; the join finds these and nothing else."""
    rows, tokens = zip(*(answer(n, at_ms=n * 7) for n in range(25)), strict=True)
    writes = {r["request_id"]: [t["t_ns"] - 3 * US for t in of] for r, of in zip(rows, tokens, strict=True)}
    writes[rows[4]["request_id"]][2] -= 27 * US
    run = write(tmp_path / RUN, requests=rows, tokens=[t for of in tokens for t in of])
    log = write_truth(tmp_path / "truth", writes, {r["request_id"]: r["sent_ns"] + 20 * US for r in rows})
    found = truth.stamps(run.path, log)
    assert found["tokens"] == 100
    assert found["tokens_without_truth"] == 0
    assert found["exact_share"] == 1.0
    assert found["exact_error_p50_us"] == 3.0
    assert found["exact_error_max_us"] == 30.0
    assert found["ttft_error_p99_us"] == 3.0
    assert found["sent_to_received_p99_us"] == pytest.approx(20.0)
    assert found["inexact"] == 0


def test_an_inexact_stamp_is_held_against_its_interval(tmp_path):
    """Truth inside (arrival of the read before, t_ns] passes; truth before it counts as outside, with its distance."""
    row, tokens = answer(gaps_ms=(10.0,) * 4)
    # Chunks 1 and 2 came in one read, as did 3 and 4: only the last one of a read is exact.
    for chunk, read in ((1, 2), (2, 2), (3, 3), (4, 3)):
        tokens[chunk]["read_index"] = read
    tokens[1] |= {"t_ns": tokens[2]["t_ns"], "exact": False}
    tokens[3] |= {"t_ns": tokens[4]["t_ns"], "exact": False}
    writes = [t["t_ns"] - 5 * US for t in tokens]
    writes[1] = tokens[0]["t_ns"] + 4 * MS
    writes[3] = tokens[2]["t_ns"] - 9 * US
    run = write(tmp_path / RUN, requests=[row], tokens=tokens)
    log = write_truth(tmp_path / "truth", {row["request_id"]: writes}, {row["request_id"]: row["sent_ns"]})
    found = truth.stamps(run.path, log)
    assert found["inexact"] == 2
    assert found["inexact_outside"] == 1
    assert found["outside_max_us"] == pytest.approx(9.0)
    assert found["exact_share"] == 0.5, "the last chunk of the response does not count"
    assert found["exact_error_max_us"] == 5.0, "an inexact stamp is no error of an exact one"


def test_a_first_token_that_is_inexact_is_bounded_by_the_read_before_it(tmp_path):
    """Without an earlier token row the lower bound is last_read_before_ns, and the send where nothing was read before."""
    rows, tokens = zip(*(answer(n, gaps_ms=()) for n in range(2)), strict=True)
    for row, of in zip(rows, tokens, strict=True):
        of[0]["exact"] = False
        row["last_read_before_ns"] = None
    first = tokens[0][0]["t_ns"]
    rows[0]["last_read_before_ns"] = first - MS
    truths = {rows[0]["request_id"]: [first - 2 * MS], rows[1]["request_id"]: [tokens[1][0]["t_ns"] - 2 * MS]}
    run = write(tmp_path / RUN, requests=rows, tokens=[t for of in tokens for t in of])
    log = write_truth(tmp_path / "truth", truths, {r["request_id"]: r["sent_ns"] for r in rows})
    found = truth.stamps(run.path, log)
    assert (found["inexact"], found["inexact_outside"], found["outside_max_us"]) == (2, 1, pytest.approx(1000.0))


def test_tokens_that_the_truth_does_not_know_are_counted(tmp_path):
    """A client that makes up a chunk, or loses its way to the log, shows; probes are left out."""
    row, tokens = answer()
    probe = request(0, request_id=-1, step_id=-1, phase="probe")
    log = write_truth(tmp_path / "truth", {0: [t["t_ns"] for t in tokens[:3]]}, {0: row["sent_ns"]})
    run = write(tmp_path / RUN, requests=[row, probe], tokens=[*tokens, token(probe, 0, probe["sent_ns"])])
    assert truth.stamps(run.path, log)["tokens_without_truth"] == 1
    lost = truth.lost(run.path, log)
    assert lost == {"requests_truth": 1, "requests_recorded": 2, "tokens_written": 3, "tokens_recorded": 5}


def test_a_run_that_joins_nothing_is_an_error(tmp_path):
    """No figure is better than one over no rows."""
    row, tokens = answer()
    run = write(tmp_path / RUN, requests=[row], tokens=tokens)
    log = write_truth(tmp_path / "truth", {77: [t["t_ns"] for t in tokens]}, {77: 0})
    with pytest.raises(processes.BenchmarkError, match="x-request-id"):
        truth.stamps(run.path, log)


def test_latencies_stand_beside_the_truth_request_by_request(tmp_path):
    """TTFT counts from the send here and from the receipt there; TPOT is the same span on both sides."""
    row, tokens = answer(ttft_ms=50.0, gaps_ms=(10.0, 20.0))
    writes = [t["t_ns"] - 100 * US for t in tokens]
    run = write(tmp_path / RUN, requests=[row], tokens=tokens)
    log = write_truth(tmp_path / "truth", {row["request_id"]: writes}, {row["request_id"]: row["sent_ns"] + 200 * US})
    ttft, tpot = truth.latencies(run.path, log)
    assert (ttft["figure"], tpot["figure"]) == ("TTFT from the send", "TPOT")
    assert ttft["client_p50_ms"] == pytest.approx(49.92)
    assert ttft["truth_p50_ms"] == pytest.approx(49.62)
    assert ttft["difference_p50_ms"] == pytest.approx(0.3)
    assert (tpot["client_p50_ms"], tpot["difference_max_ms"]) == (pytest.approx(15.0), pytest.approx(0.0))


def test_cpu_between_two_instants():
    """Straight lines between samples; a process that began later starts at 0, one that ended keeps its last value."""
    samples = [
        Sample(0, {1: 10.0}),
        Sample(1 * S, {1: 11.0, 2: 0.5}),
        Sample(2 * S, {1: 11.0, 2: 1.5, 3: 0.2}),
        Sample(3 * S, {1: 11.0}),
    ]
    assert cpu_between(samples, 0, 3 * S) == pytest.approx(1.0 + 1.5 + 0.2)
    assert cpu_between(samples, S // 2, 3 * S // 2) == pytest.approx(0.5 + 0.5 + 0.5)
    assert cpu_between(samples, 2 * S, 3 * S) == 0.0


def test_cost_is_a_median_and_its_ratio_is_paired():
    """One slow round moves neither the figure nor the ratio, which is taken round by round."""

    def rounds(*costs):
        return [{"us_per_token": c, "tokens_per_s": 100.0, "worker_us": None, "to_the_end_us": c + 1} for c in costs]

    row = cost.summary(64, "socket", rounds(14.0, 99.0, 15.0), rounds(7.0, 33.0, 6.0))
    assert (row["us_per_token"], row["least_us"], row["most_us"]) == (15.0, 14.0, 99.0)
    assert row["times_the_c_reader"] == 2.5
    assert (row["worker_us"], row["to_the_end_us"]) == (None, 16.0)


def test_peak_memory_is_of_one_instant():
    """The peak is of the sum over workers at one sample; the coordinator does not count."""
    samples = [Sample(0, {}, {1: 900, 2: 10, 3: 50}), Sample(1, {}, {1: 900, 2: 60, 3: 20}), Sample(2, {}, {1: 900})]
    assert scale.peak_rss_bytes(samples, [2, 3]) == 80
    with pytest.raises(processes.BenchmarkError, match="no worker"):
        scale.peak_rss_bytes(samples, [7])


def poisson(n: int, rate: float) -> np.ndarray:
    return np.cumsum(np.random.default_rng(7).exponential(1e9 / rate, n)).astype(np.int64)


def test_a_poisson_process_passes():
    """Arrivals drawn from the law pass all tests at the levels that the table names."""
    row = pacing.process_of(poisson(20_000, 1000))
    assert row["seen_rps"] == pytest.approx(1000, rel=0.03)
    assert row["ks_d_star"] < 1.308
    assert min(row["dispersion_p"], row["lag1_p"]) > pacing.ALPHA


@pytest.mark.parametrize("spoil", ["rounded to ms", "two at once", "even"])
def test_what_is_not_poisson_fails(spoil):
    """Arrivals held back to a tick, two senders with one seed, and an even spacing are each found by some test."""
    arrivals = poisson(20_000, 1000)
    if spoil == "rounded to ms":
        arrivals = arrivals // MS * MS
    elif spoil == "two at once":
        arrivals = np.sort(np.concatenate([arrivals, arrivals + 20 * US]))
    else:
        arrivals = np.arange(20_000) * MS + np.random.default_rng(7).integers(0, MS // 10, 20_000)
    row = pacing.process_of(arrivals)
    assert row["ks_d_star"] > 1.308
    assert spoil == "rounded to ms" or min(row["dispersion_p"], row["lag1_p"]) < pacing.ALPHA


def test_lateness_by_the_endpoints_clock(tmp_path):
    """Arrivals in real time are mapped by the manifest's anchor and paired with the schedule by rank."""
    rows = [request(n, at_ms=n * 10) for n in range(3)]
    run = write(tmp_path / RUN, requests=rows)
    clock = {"monotonic_ns": 5 * S, "utc_ns": 1_700_000_000 * S}
    shift = clock["utc_ns"] - clock["monotonic_ns"]
    seen = np.array([r["scheduled_ns"] + shift + late * US for r, late in zip(rows, (120, 100, 130), strict=True)])
    found = pacing.seen_late(run.path, seen[[1, 0, 2]], clock)
    assert found["seen_late_p50_us"] == pytest.approx(120.0)
    assert pacing.seen_late(run.path, seen[:2], clock)["seen_late_p50_us"] is None, "unequal counts cannot be paired"


LOG = """
0.03.944.487 I slot launch_slot_: id  3 | task 0 | processing task, is_child = 0
0.04.327.244 I slot print_timing: id  3 | task 0 | prompt eval time =     311.02 ms /    37 tokens (    8.41 ms per token)
0.04.327.269 I slot print_timing: id  3 | task 0 |        eval time =      71.54 ms /     5 tokens (   17.89 ms per token)
0.04.327.276 I slot print_timing: id  3 | task 0 |       total time =     382.56 ms /    42 tokens
0.04.494.462 I slot print_timing: id  2 | task 6 | prompt eval time =      83.28 ms /    10 tokens (    8.33 ms per token)
0.04.494.487 I slot print_timing: id  2 | task 6 |        eval time =      71.64 ms /     5 tokens (   17.91 ms per token)
"""


def test_the_real_servers_log_joins_by_its_own_total():
    """Answers find their timings by server_ms, in any order; one that the log does not know is an error."""
    told = real_model.timings(LOG)
    assert told == [real_model.Timing(311.02, 71.54, 5, 37), real_model.Timing(83.28, 71.64, 5, 10)]
    seen = [real_model.Seen(154.914, 90.0, 71.0, 5), real_model.Seen(382.56, 320.0, 72.0, 5)]
    joined = real_model.join(seen, told)
    assert [t.prompt_ms for _, t in joined] == [83.28, 311.02]
    ttft = real_model.compare(joined)[0]
    assert ttft["difference_min_ms"] == pytest.approx(6.72)
    assert ttft["difference_max_ms"] == pytest.approx(8.98)
    with pytest.raises(processes.BenchmarkError, match=r"200\.00 ms"):
        real_model.join([real_model.Seen(200.0, 1.0, 1.0, 2)], told)


def test_the_real_target_says_how_to_get_it(tmp_path, monkeypatch):
    """Where the model is absent the error names the command that installs it."""
    monkeypatch.setattr(real_target, "PYTHON", Path(sys.executable))  # the server may be there or not, on this machine
    monkeypatch.setattr(real_target, "MODEL", real_target.ROOT / ".targets" / "nowhere.gguf")
    with (
        pytest.raises(processes.BenchmarkError, match=r"nowhere\.gguf is missing.*benchmarks\.real_target"),
        real_target.serving(tmp_path / "log"),
    ):
        pass


MADE = dict.fromkeys(("command", "date", "machine", "versions"), "x")


def test_tables_show_every_column_once():
    """Columns are those of all rows; numbers keep three digits, shares are percents, what is missing is a dash."""
    text = harness.show("T", MADE, [{"a_us": 1.23456, "b": 12345, "a_share": 0.99876}, {"c": None}])
    assert text.splitlines()[4:] == [
        "| a us | b | a share | c |",
        "| --- | --- | --- | --- |",
        "| 1.23 | 12,345 | 99.88% | – |",
        "| – | – | – | – |",
    ]


def test_a_wide_table_is_turned_over():
    """More columns than a page holds become rows; nothing is left out."""
    wide = {f"c{i}": i for i in range(harness.WIDEST + 1)}
    lines = harness.show("T", MADE, [wide, wide]).splitlines()[4:]
    assert lines[:3] == ["| c0 | 0 | 0 |", "| --- | --- | --- |", "| c1 | 1 | 1 |"]
    assert len(lines) == len(wide) + 1


@needs_compiler
@pytest.mark.parametrize("name", ["reader", "responder"])
def test_native_programs_compile_without_a_warning(name, tmp_path):
    """The flags treat every warning as an error."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    source = processes.NATIVE / f"{name}.c"
    done = subprocess.run(
        [compiler, *processes.CC_FLAGS, "-o", str(tmp_path / name), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_the_responder_answers_every_request_and_stamps_it(tmp_path):
    """Requests in pieces and two in one segment are each answered once, and each has one arrival between send and answer."""
    arrivals = tmp_path / "arrivals.bin"
    with processes.started([str(processes.native("responder")), str(arrivals)]) as ready:
        port = int(ready["url"].split(":")[2].split("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            before_ns = time.time_ns()
            for piece in (b"POST / HTTP/1.1\r\nContent-Len", b"gth: 4\r\n\r\nbo", b"dy"):
                s.sendall(piece)
                time.sleep(0.02)
            s.sendall(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n" * 2)
            s.shutdown(socket.SHUT_WR)
            answer_text = b"".join(iter(lambda: s.recv(65536), b""))
            after_ns = time.time_ns()
    assert answer_text.count(b"HTTP/1.1 200 OK") == answer_text.count(b"[DONE]") == 3
    seen = np.fromfile(arrivals, dtype=np.int64)
    assert len(seen) == 3
    assert before_ns <= seen.min() <= seen.max() <= after_ns


PAGES = sorted((processes.ROOT / "docs").glob("*.md"))
SCRIPTS = sorted({name for page in PAGES for name in re.findall(r"python -m benchmarks\.(\w+)", page.read_text())})
INSTALLING = {"real_target", "real_gateway"}


def test_the_pages_name_every_measurement():
    """Each script that measures is on one of the pages, and they name none that is not there."""
    folder = processes.ROOT / "benchmarks"
    measuring = {p.stem for p in folder.glob("*.py") if "def measure()" in p.read_text()}
    measuring |= {p.parent.name for p in folder.glob("*/__main__.py")}
    assert set(SCRIPTS) == measuring | INSTALLING


@pytest.mark.parametrize("name", [s for s in SCRIPTS if s not in INSTALLING])
def test_a_measurement_tells_its_options(name):
    """--help works without a simulator, a compiler or a model."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    done = subprocess.run(command, cwd=processes.ROOT, capture_output=True, text=True, check=True)
    assert "--json" in done.stdout
