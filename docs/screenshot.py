"""Take the README's picture of a report, and say how long the page took to open.

    python docs/screenshot.py runs/RUN/report.html docs/images/report.png [--dark] [--width 1400] [--height 1180]

Wants Debian's ``chromium`` and PyPI's ``playwright``, in an environment of their own; neither is needed to run or test openloop. The picture
must be of a real run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
OPENED_MS = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=1400)
    parser.add_argument("--height", type=int, default=1180)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    options = parser.parse_args()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=options.browser, args=FLAGS)
        page = browser.new_page(
            viewport={"width": options.width, "height": options.height},
            color_scheme="dark" if options.dark else "light",
        )
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(options.page.resolve().as_uri(), wait_until="load")
        page.wait_for_timeout(300)
        print(f"opened in {page.evaluate(OPENED_MS):.0f} ms; asked for {len(asked)} file")
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=options.picture)
        browser.close()


if __name__ == "__main__":
    main()
