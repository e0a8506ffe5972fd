"""Whole runs as a person starts them: one process, the built-in endpoint, a run folder, an exit code. Short, and without timing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from console import exits
from console.endpoint import endpoint
from generator.counters import Counters
from generator.run_dir import RunDir

ROOT = Path(__file__).parents[1]
PROGRAM = "import sys; from console.cli import main; sys.exit(main(sys.argv[1:]))"
QUICK = ["--input-tokens", "20", "--output-tokens", "5"]
FAST = ["--set", "target.simulator={ttft: 5ms, itl: 1ms}"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
PATIENCE_S = 90.0


def openloop(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One command line in the current folder, to its end."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(true: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; what it gives. Fails the test when it never comes true."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        if found := true():
            return found
        time.sleep(0.05)
    pytest.fail(f"never happened: {what}")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def the_run() -> RunDir:
    (path,) = Path("runs").iterdir()
    return RunDir(path)


def rows(table: str) -> list[dict[str, Any]]:
    return pq.read_table(the_run().table_path(table)).to_pylist()


def main_rows() -> list[dict[str, Any]]:
    return [row for row in rows("requests") if row["phase"] == "main"]


@pytest.fixture
def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def test_a_run_from_flags_to_report() -> None:
    """Every arrival has its row, every token its own; stdout holds the JSON report alone; the folder is complete; the code is the
    verdict's."""
    done = openloop("run", "--target", "simulator", "--concurrency", "2,3", "--requests", "6", *QUICK, *FAST, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == {"VALID": exits.GOOD, "INVALID": exits.INVALID}[report["verdict"]["verdict"]], done.stderr
    assert [step["concurrency"] for step in report["steps"]] == [2, 3]
    found = main_rows()
    assert [row["outcome"] for row in found] == ["ok"] * 12
    assert [row["output_tokens"] for row in found] == [5] * 12
    assert sum(token["request_id"] >= 0 for token in rows("tokens")) == 60
    run = the_run()
    assert run.sealed
    assert run.read_manifest()["verdict"] == report["verdict"]["verdict"]
    assert run.report_path.read_text().lstrip().startswith("<!")
    (truth,) = (run.path / "truth").glob("truth-requests-*.parquet")
    assert sorted(pq.read_table(truth)["x_request_id"].to_pylist()) == sorted(
        f"{run.run_id}-{row['request_id']}" for row in rows("requests")
    )


def test_a_run_without_json_prints_the_verdict_and_where_the_report_is() -> None:
    """Text goes to stdout, progress to stderr as plain lines, for it is no terminal."""
    done = openloop(
        "run", "--target", "simulator", "--rate", "20/s", "--requests", "10", *QUICK, *FAST, "--run-id", "mine"
    )
    assert done.returncode in (exits.GOOD, exits.INVALID), done.stderr
    assert "VALID" in done.stdout
    assert "report: runs/mine/report.html" in done.stdout
    assert "TTFT" in done.stdout
    assert "probe" in done.stderr or "step 1/1" in done.stderr
    again = openloop("report", "mine", "--format", "json")
    assert json.loads(again.stdout)["run"]["run_id"] == "mine"
    text = openloop("sql", "latest", "SELECT count(*) AS n FROM requests WHERE phase = 'main'", "--format", "csv")
    assert text.stdout == "n\n10\n"


def test_several_scenarios_run_one_after_another() -> None:
    """Each has its own folder and report; default ids do not collide."""
    scenario = "target: {url: simulator, simulator: {ttft: 5ms, itl: 1ms}}\nsteps: [{concurrency: 1, requests: 2, output_tokens: 3}]\n"
    Path("a.yaml").write_text(scenario)
    done = openloop("run", "a.yaml", "a.yaml", "--no-live")
    assert done.returncode in (exits.GOOD, exits.INVALID), done.stderr
    assert done.stdout.count("report: runs/a-") == 2
    assert len(list(Path("runs").iterdir())) == 2


def test_a_target_that_nobody_serves(free_port: int) -> None:
    """Connection refused: 4, said in words, and the rows that were tried are kept."""
    url = f"http://127.0.0.1:{free_port}/v1"
    done = openloop("run", "--target", url, "--model", "m", "--rate", "20/s", "--requests", "5", *QUICK)
    assert done.returncode == exits.NO_SUCCESS, done.stderr
    assert "refused" in (done.stderr + done.stdout).lower()
    assert {row["outcome"] for row in rows("requests")} == {"connect_error"}


def test_a_name_that_nobody_knows() -> None:
    """A host that DNS does not know: 4, with its name."""
    done = openloop("run", "--target", "http://no-such-host.invalid/v1", "--model", "m", "--requests", "2", *QUICK)
    assert done.returncode == exits.NO_SUCCESS, done.stderr
    assert "no-such-host.invalid" in done.stderr


@pytest.fixture
def plain() -> Iterator[str]:
    with endpoint({"ttft": "5ms", "itl": "1ms"}) as server:
        yield server.url


def test_tls_against_a_server_that_speaks_none(plain: str) -> None:
    """https:// to a plain port: 4, and TLS is named as the reason."""
    done = openloop("run", "--target", plain.replace("http:", "https:"), "--model", "m", "--requests", "3", *QUICK)
    assert done.returncode == exits.NO_SUCCESS, done.stderr
    assert "tls" in (done.stderr + done.stdout).lower()


def test_a_path_that_is_not_there(plain: str) -> None:
    """404 on the first answers: 4 after the probe, not after thousands of requests; the report says why for whoever reads it later."""
    wrong = plain.replace("/v1", "/v2")
    done = openloop("run", "--target", wrong, "--model", "m", "--rate", "1000/s", "--duration", "60s", *QUICK)
    assert done.returncode == exits.NO_SUCCESS, done.stderr
    assert "404" in done.stderr
    assert "run ended before its load" in done.stdout
    assert "404" in done.stdout
    assert [row["http_status"] for row in rows("requests")] == [404] * 3


def test_a_key_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """401 on the first answers: 4 after the probe; the key is in no file of the run and on no output."""
    key = "sk-very-secret-4711"
    monkeypatch.setitem(ENVIRONMENT, "OPENLOOP_TEST_KEY", key)
    with endpoint({"api_key": "another"}) as server:
        target = f"{{url: '{server.url}', model: m, api_key: '${{OPENLOOP_TEST_KEY}}'}}"
        Path("s.yaml").write_text(f"target: {target}\nsteps: [{{rate: 1000/s, duration: 60s}}]\n")
        done = openloop("run", "s.yaml")
    assert done.returncode == exits.NO_SUCCESS, done.stderr
    assert "401" in done.stderr
    assert [row["http_status"] for row in rows("requests")] == [401] * 3
    assert key not in done.stdout + done.stderr
    assert [p for p in the_run().path.rglob("*") if p.is_file() and key.encode() in p.read_bytes()] == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    """A self-signed certificate is refused with 4; with tls.ca it is accepted."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    made += ["-keyout", str(key), "-out", str(cert), "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(made, check=True, capture_output=True)
    with endpoint({"tls_cert": cert, "tls_key": key, "ttft": "5ms", "itl": "1ms"}) as server:
        flags = ["--target", server.url, "--model", "m", "--concurrency", "1", "--requests", "2", *QUICK]
        refused = openloop("run", *flags)
        assert refused.returncode == exits.NO_SUCCESS, refused.stderr
        assert "certificate" in (refused.stderr + refused.stdout).lower()
        trusted = openloop("run", *flags, "--set", f"target.tls.ca={cert}")
        assert trusted.returncode in (exits.GOOD, exits.INVALID), trusted.stderr


def long_run(*more: str) -> subprocess.Popen[str]:
    """A minute of 20 requests a second on two workers, without a probe before it."""
    flags = [
        "--target",
        "simulator",
        "--rate",
        "20/s",
        "--duration",
        "60s",
        "--workers",
        "2",
        "--run-id",
        "long",
        "--set",
        "probe=0",
    ]
    return started("run", *flags, *QUICK, *FAST, *more)


def under_way() -> RunDir:
    """The long run, once each of its two workers has written answers to disk."""
    run = RunDir(Path("runs/long"))
    until(lambda: all(list(run.segments.glob(f"requests-{worker}-*.parquet")) for worker in range(2)), "a segment each")
    return run


def descendants(process: subprocess.Popen[str]) -> dict[str, list[psutil.Process]]:
    """Workers and simulators that a run has started."""
    found: dict[str, list[psutil.Process]] = {"generator.worker": [], "simulator": []}
    for child in psutil.Process(process.pid).children(recursive=True):
        words = child.cmdline()
        for module, listed in found.items():
            if module in words:
                listed.append(child)
    return found


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGHUP]], ids=["once", "twice"])
def test_an_interrupted_run_is_sealed(signals: list[signal.Signals]) -> None:
    """Ctrl-C, SIGTERM and SIGHUP are alike: issuing stops, what was recorded is sealed and reported, the code is 130. The second
    one cuts what is in flight."""
    with long_run("--set", "target.simulator={ttft: 5ms, itl: 200ms}") as process:
        run = RunDir(Path("runs/long"))
        until(lambda: run.counters_path.exists() and run.counters_path.stat().st_size, "counters")
        until(lambda: Counters(run.counters_path, 2).total("step_done"), "an answer")
        for number in signals:
            process.send_signal(number)
            time.sleep(0.1)  # signals that wait together would be one
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == exits.INTERRUPTED, err
    assert run.sealed
    assert run.report_path.exists()
    assert run.read_manifest()["interrupted"] is True
    assert 0 < len(main_rows()) < 20 * 60 / 2
    outcomes = {row["outcome"] for row in main_rows()}
    assert outcomes == ({"ok"} if len(signals) == 1 else {"ok", "cancelled"})
    assert "report: runs/long/report.html" in out


def test_a_killed_worker_makes_the_run_invalid() -> None:
    """SIGKILL of one of two workers: the other goes on, the run ends INVALID with the reason, nothing recorded is lost."""
    with long_run("--set", "steps.0.duration=6s") as process:
        under_way()
        victim = descendants(process)["generator.worker"][0]
        victim.kill()
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == exits.INVALID, err
    assert "INVALID" in out
    assert "worker" in out
    found = main_rows()
    assert "lost" in {row["outcome"] for row in found}
    assert len({row["worker_id"] for row in found if row["outcome"] == "ok"}) == 2
    assert len({row["request_id"] for row in found}) == len(found)


def test_a_killed_coordinator_leaves_no_orphan_and_a_run_that_reads() -> None:
    """SIGKILL of the whole console: workers and endpoint end by themselves, the segments read, `seal` finishes the run."""
    with long_run() as process:
        run = under_way()
        children = [child for listed in descendants(process).values() for child in listed]
        assert len(children) >= 3
        process.kill()
        process.communicate(timeout=PATIENCE_S)
    until(
        lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children), "all children ended"
    )
    assert not run.sealed
    count = "SELECT count(*) AS n FROM requests WHERE outcome = 'ok'"
    before = openloop("sql", "long", count, "--format", "csv")
    assert before.returncode == exits.GOOD, before.stderr
    assert int(before.stdout.split()[1]) > 0
    assert openloop("report", "long").returncode == exits.GOOD
    sealed = openloop("seal", "long")
    assert sealed.returncode == exits.GOOD, sealed.stderr
    assert run.sealed
    assert run.report_path.exists()
    assert openloop("sql", "long", count, "--format", "csv").stdout == before.stdout


def test_too_few_descriptors_is_told_before_anything_is_sent() -> None:
    """Under a hard limit of 256 descriptors 4,096 slots end with 2, and the message names the limit."""
    arguments = ["run", "--target", "simulator", "--concurrency", "4096", "--requests", "4096"]
    command = ["bash", "-c", 'ulimit -n 256 && exec "$@"', "-", sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == exits.WRONG
    assert "descriptors" in done.stderr
    assert "256" in done.stderr
    assert not Path("runs").exists()


def test_simulate_serves_until_it_is_interrupted() -> None:
    """``openloop simulate`` prints its URL, answers, and leaves nothing behind."""
    with started("simulate", "--ttft", "5ms") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        children = descendants(process)["simulator"]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == exits.GOOD, err
    assert len(children) == 1
    until(lambda: not children[0].is_running(), "the endpoint ended")


def test_simulate_says_when_its_endpoint_died() -> None:
    """A script that waits for it must not take that for its end."""
    with started("simulate") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://")
        descendants(process)["simulator"][0].kill()
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == exits.FAULT
    assert "ended by itself, with -9" in err
