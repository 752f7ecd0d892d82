"""Makes pictures of every page with made-up people and requests: phone and laptop, dark and light.

    bench/screenshots DIRECTORY [NAME …]    # all pages, or those of these names; the admin's are office-…
    bench/screenshots docs/pictures --readme    # those that README.md shows: one window each, small files

It starts a gateway of its own (PostgreSQL and Valkey too) and drives Debian's Chromium.
"""

import io
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from PIL import Image
from playwright.sync_api import BrowserContext, Page, sync_playwright

import tests.isolation
from tests import upstream
from tests.gateway.conftest import catalogue
from tests.office import Office
from tests.people import SELLS, People, context
from tests.services import Servers, running

CHROMIUM = "/usr/bin/chromium"
WIDTHS = {"phone": 390, "laptop": 1280}
SCHEMES = ("light", "dark")
README = {
    "dashboard-laptop-light",
    "model-laptop-dark",
    "chat-answered-laptop-light",
    "generation-laptop-dark",
}
ANSWER = "By day the lamp is cleaned, its wick trimmed and the brass polished; at dusk it is lit."
# Enough for pages of few colours, at a third of the bytes.
COLOURS = 128


def main(directory: Path, wanted: set[str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    is_readme = wanted == {"--readme"}
    servers = Servers(tests.isolation.DIRECTORY)
    try:
        servers.start()
        with upstream.running() as provider, running(servers, catalogue=catalogue(provider.url), env=SELLS) as product:
            for model in ("one-primary", "three-primary", "three-secondary", "three-tertiary"):
                provider.script(model, spoken(ANSWER))
            people = People(product)
            for name, page in pages(people.pages, README if is_readme else set()):
                if is_readme:
                    small(page, directory / f"{name}.png")
                elif not wanted or name.rsplit("-", 2)[0] in wanted:
                    page.screenshot(path=directory / f"{name}.png", full_page=True)
            # Its rows would be on the pages before.
            if not wanted or any(name.startswith(("office-", "docs")) for name in wanted):
                open_office = partial(Office(people).pages, wanted=wanted)
                for name, page in pages(open_office, set()):
                    page.screenshot(path=directory / f"{name}.png", full_page=True)
    finally:
        servers.stop()


def pages(opened: Callable[[BrowserContext], Iterator[tuple[str, Page]]], only: set[str]) -> Iterator[tuple[str, Page]]:
    """By name, device and scheme; `only` are whole names, empty for all."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for device, width in WIDTHS.items():
            for scheme in SCHEMES:
                look = f"{device}-{scheme}"
                if only and not any(name.endswith(look) for name in only):
                    continue
                with context(browser, width=width, scheme=scheme) as fresh:
                    for name, page in opened(fresh):
                        if not only or f"{name}-{look}" in only:
                            yield f"{name}-{look}", page
        browser.close()


def spoken(text: str) -> list[upstream.Step]:
    """Streamed word by word."""
    words = [upstream.chunk({"content": f"{word} "}) for word in text.split()]
    usage = {"prompt_tokens": 17, "completion_tokens": len(words), "total_tokens": 17 + len(words)}
    last = {"chunk": {"id": "up-1", "choices": [], "usage": usage}}
    return [*words, upstream.chunk({}, "stop"), last, {"done": True}]


def small(page: Page, file: Path) -> None:
    page.evaluate("scrollTo(0, 0)")
    if "/models/" in page.url:
        page.get_by_role("heading", name="How they do").evaluate("(one) => one.scrollIntoView()")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), set(sys.argv[2:]))
