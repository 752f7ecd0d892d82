"""Pages in Chromium, and whatever of them the content security policy refuses."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"


@contextmanager
def launched() -> Iterator[Browser]:
    """Debian's; installed where CI says that this machine is its own."""
    if not Path(CHROMIUM).exists() and os.environ.get("CI") == "true" and shutil.which("apt-get"):
        install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium"
        subprocess.run(["sh", "-c", install], capture_output=True, timeout=600)
    if not Path(CHROMIUM).exists():
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def page_of(browser: Browser, *, width: int = 390, height: int = 844) -> Iterator[Page]:
    """A phone's, unless it is said. What is refused fails the test."""
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    refused = refusals_of(page)
    yield page
    context.close()
    assert refused == []


def refusals_of(page: Page) -> list[str]:
    """Grows with them."""
    refused: list[str] = []

    def note(said: ConsoleMessage) -> None:
        if "Content Security Policy" in said.text:
            refused.append(said.text)

    page.on("console", note)
    return refused
