"""Take the pictures of docs/dashboard.md from a service that runs: a run while it goes, and a scenario over time.

    openloop serve --port 8765 &
    python docs/dashboard_pictures.py http://127.0.0.1:8765 docs/images --history NAME

Starts one run of half a minute against the built-in endpoint, and takes its picture twenty seconds in. NAME must have runs already. Wants
Debian's ``chromium`` and PyPI's ``playwright``.
"""

from __future__ import annotations

import argparse
import json
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
]
RUN = {
    "name": "staircase",
    "target": {"url": "simulator", "simulator": {"timing": "batch", "jitter": 0.2}},
    "workload": {"input_tokens": 128, "output_tokens": 32},
    "steps": [{"rate": f"{rate}/s", "duration": "10s"} for rate in (10, 25, 40)],
    "slo": {"ttft": "300ms"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--history", required=True, metavar="NAME")
    parser.add_argument("--browser", default="/usr/bin/chromium")
    options = parser.parse_args()
    asked = urllib.request.Request(  # noqa: S310 - the address is the caller's own service
        f"{options.url}/benchmarks", json.dumps({"scenario": RUN}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked) as answer:  # noqa: S310 - as above
        benchmark_id = json.load(answer)["id"]
    options.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=options.browser, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 740})
        page.goto(f"{options.url}/ui/runs/{benchmark_id}")
        page.wait_for_selector(".plot svg .mark-line path", timeout=60_000)
        page.wait_for_timeout(20_000)
        page.screenshot(path=options.folder / "dashboard-live.png")
        page = browser.new_page(viewport={"width": 1200, "height": 620}, color_scheme="dark")
        page.goto(f"{options.url}/ui/history?name={options.history}")
        page.wait_for_selector(".drawn svg")
        page.wait_for_timeout(500)
        page.screenshot(path=options.folder / "dashboard-history.png")
        browser.close()


if __name__ == "__main__":
    main()
