"""Makes pictures of every page with made-up people and requests: phone and laptop, dark and light.

    bench/screenshots DIRECTORY [NAME …]    # all pages, or those of these names

It starts a gateway of its own (PostgreSQL and Valkey too) and drives Debian's Chromium.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

import tests.isolation
from tests import upstream
from tests.gateway.conftest import catalogue
from tests.people import SELLS, People, context
from tests.services import Servers, running

CHROMIUM = "/usr/bin/chromium"
WIDTHS = {"phone": 390, "laptop": 1280}


def main(directory: Path, wanted: set[str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    servers = Servers(tests.isolation.DIRECTORY)
    try:
        servers.start()
        with upstream.running() as provider, running(servers, catalogue=catalogue(provider.url), env=SELLS) as product:
            take(People(product), directory, wanted)
    finally:
        servers.stop()


def take(people: People, directory: Path, wanted: set[str]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for device, width in WIDTHS.items():
            for scheme in ("light", "dark"):
                with context(browser, width=width, scheme=scheme) as fresh:
                    for name, page in people.pages(fresh):
                        if not wanted or name in wanted:
                            page.screenshot(path=directory / f"{name}-{device}-{scheme}.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), set(sys.argv[2:]))
