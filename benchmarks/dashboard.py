"""What a page that follows a run costs the run: lateness of sends with Chromium on the live page against without, in alternating pairs.

The service, its run, the built-in endpoint and the browser share this machine, which is the worst case: people look from elsewhere. Each pair
is two runs of one seed, one of them followed; which comes first alternates, so that a drift of the machine meets both.

    python -m benchmarks.dashboard                              # 5 pairs of 20 s at 100/s: about 6 minutes
    python -m benchmarks.dashboard --pairs 1 --duration 5       # to see it work
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from benchmarks import harness
from benchmarks.harness import Row
from benchmarks.processes import BenchmarkError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]
OVER = ("completed", "failed", "stopped", "interrupted")


@contextmanager
def service(runs_dir: Path) -> Iterator[httpx.Client]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    code = "import sys; from console.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "serve", "--port", str(port), "--runs-dir", str(runs_dir)]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for _ in range(300):
                with suppress(httpx.TransportError):
                    if client.get("/health").status_code == 200:
                        break
                time.sleep(0.1)
            client.get("/ui/static/vega.js")  # made once, before anything is measured
            yield client
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def following(browser: Any, url: str) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(url)
    try:
        yield page
    finally:
        page.close()


def run(client: httpx.Client, scenario: Row, browser: Any | None) -> Row:
    """One run to its end: lateness by the report, what CPU the followed page drew by the browser's own account."""
    made = client.post("/benchmarks", json={"scenario": scenario}).raise_for_status().json()
    drawn = None
    if browser is None:
        _wait(client, made["id"])
    else:
        with following(browser, f"{client.base_url}/ui/runs/{made['id']}".replace("//ui", "/ui")) as page:
            drawn = _follow(client, made["id"], page)
    report = client.get(f"/benchmarks/{made['id']}/report").raise_for_status().json()
    # The generator's own figures, which are held against limits and never withheld.
    late = {name: report["generator"][f"lateness_{name}_ms"] * 1e3 for name in ("p50", "p99", "max")}
    return {f"{name}_us": value for name, value in late.items()} | {"drawn": drawn}


def _wait(client: httpx.Client, benchmark_id: str) -> str:
    while True:
        state = str(client.get(f"/benchmarks/{benchmark_id}", params={"size": 0}).json()["state"])
        if state in OVER:
            if state != "completed":
                raise BenchmarkError(f"{benchmark_id} is {state}")
            return state
        time.sleep(1)


def _follow(client: httpx.Client, benchmark_id: str, page: Any) -> int:
    """How many seconds of the run the page's chart had drawn shortly before it ended: proof that it was followed."""
    drawn = 0
    while True:
        with suppress(Exception):  # the page becomes the run's results when it ends
            line = "#chart-requests .plot svg .mark-line path"
            # A locator gives up; to evaluate in a page that is being left may wait for ever.
            drawn = max(drawn, (page.locator(line).first.get_attribute("d", timeout=1000) or "").count("L"))
        if client.get(f"/benchmarks/{benchmark_id}", params={"size": 0}).json()["state"] in OVER:
            _wait(client, benchmark_id)
            return drawn
        time.sleep(1)


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=100, help="arrivals a second")
    parser.add_argument("--duration", type=float, default=20, help="seconds a run")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    path = next((p for name in BROWSERS if (p := shutil.which(name))), None)
    if path is None:
        raise BenchmarkError("no Chromium on PATH (Debian: apt-get install chromium)")
    made = harness.machine()
    rows: list[Row] = []
    with harness.folder(options) as runs_dir, service(runs_dir) as client, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        for pair in range(options.pairs):
            scenario = {
                "name": "followed",
                "seed": pair,
                "target": {"url": "simulator", "simulator": {"ttft": "20ms", "itl": "5ms"}},
                "workload": {"input_tokens": 64, "output_tokens": 16},
                "steps": [{"rate": f"{options.rate:g}/s", "duration": f"{options.duration:g}s", "warmup": "2s"}],
            }
            found: dict[bool, Row] = {}
            for followed in (False, True) if pair % 2 == 0 else (True, False):
                found[followed] = run(client, scenario, browser if followed else None)
            rows.append(_row(str(pair + 1), found))
        browser.close()
    figures = [name for name in rows[0] if name != "pair"]
    rows.append({"pair": "median"} | {name: harness.median([row[name] for row in rows]) for name in figures})
    note = "Lateness: issued less scheduled, of every send after 2 s of warm-up. Drawn: points that the followed page's chart had in the end."
    harness.finish(options, f"A followed run at {options.rate:g}/s, {options.duration:g} s", made, rows, note)


def _row(pair: str, found: dict[bool, Row]) -> Row:
    row: Row = {"pair": pair}
    for name in ("p50", "p99", "max"):
        row |= {f"{name}_µs_alone": found[False][f"{name}_us"], f"{name}_µs_followed": found[True][f"{name}_us"]}
    return row | {"drawn": float(found[True]["drawn"] or 0)}


if __name__ == "__main__":
    harness.main(measure)
