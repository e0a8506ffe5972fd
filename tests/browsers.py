"""Chromium for tests: found on PATH, started once, and watched: what a page must never do is collected and fails the test."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage")
FLAGS += ("--disable-background-networking", "--disable-component-update", "--disable-sync")
PATIENCE_S = 90.0
"""For a machine with much else to do: reports and queries run at a low priority, on purpose."""

WIDE, PHONE = (1400, 1000), (360, 780)


def chromium() -> str:
    """The browser's path; skips the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on PATH (Debian: apt-get install chromium); the dashboard is not tried in a browser")
    return found


@contextmanager
def launched() -> Iterator[Any]:
    """Chromium, for a module's tests; skips them where there is none, or no Playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = chromium()
    with playwright.sync_playwright() as play:
        found = play.chromium.launch(executable_path=path, args=list(FLAGS))
        yield found
        found.close()


def holds(page: Any, question: str, arg: Any = None, seconds: float = PATIENCE_S) -> None:
    """Wait until a question's answer in the page is true. Playwright's own wait evaluates text inside the page, which the policy forbids."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        try:
            if page.evaluate(question, arg):
                return
        except Exception as e:
            # The page went on to another address while it was asked.
            if "context was destroyed" not in str(e) and "Cannot read properties of null" not in str(e):
                raise
        page.wait_for_timeout(100)
    raise AssertionError(f"not within {seconds:g} s: {question} {arg or ''}")


@dataclass
class Visit:
    """A page and what went wrong on it. ``expected``: words of console errors that a test provokes."""

    page: Any
    url: str
    faults: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def go(self, path: str) -> None:
        self.page.goto(self.url + path, wait_until="load")

    def check(self) -> None:
        """No console error, no exception, no broken policy, no request to another host."""
        left = [fault for fault in self.faults if not any(words in fault for words in self.expected)]
        assert not left, "\n".join(left)


@contextmanager
def visiting(browser: Any, url: str, *, size: tuple[int, int] = WIDE, dark: bool = False) -> Iterator[Visit]:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light", accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    visit = Visit(page, url)
    home = urlsplit(url).netloc

    def requested(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.netloc != home:
            visit.faults.append(f"a request to {request.url}")

    def said(message: Any) -> None:
        # A broken Content-Security-Policy is such a message, too.
        if message.type in ("error", "warning"):
            visit.faults.append(f"console {message.type}: {message.text}")

    page.on("request", requested)
    page.on("console", said)
    page.on("pageerror", lambda error: visit.faults.append(f"exception: {error}"))
    try:
        yield visit
        visit.check()
    finally:
        context.close()
