"""axe-core, transferred bytes and layout shift on every page: phone and laptop, light and dark."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.gateway.conftest import catalogue
from tests.people import SELLS, People, context
from tests.services import Servers, running
from tests.upstream import Upstream

pytestmark = pytest.mark.slow

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
# What another colour scheme can change; markup is the same in both.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
MOST_BYTES = 150_000
MOST_SHIFT = 0.01
SHIFT = """() => new Promise((resolve) => {
    let sum = 0;
    const add = (one) => (sum += one.hadRecentInput ? 0 : one.value);
    const watch = new PerformanceObserver((list) => list.getEntries().forEach(add));
    watch.observe({ type: "layout-shift", buffered: true });
    setTimeout(() => resolve(sum), 50);
})"""


@pytest.fixture(scope="module")
def people(servers: Servers, provider: Upstream) -> Iterator[People]:
    with running(servers, catalogue=catalogue(provider.url), env=SELLS) as product:
        yield People(product)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_can_be_read_and_is_light_and_still(people: People, chromium: Browser, width: int) -> None:
    found: dict[str, Any] = {}
    with context(chromium, width=width, scheme="light") as fresh:
        weigh = scales(fresh)
        for name, page in people.pages(fresh):
            problems = [*misfits(page, weigh()), *violations(page, {})]
            page.emulate_media(color_scheme="dark")
            # Colours glide to those of the other scheme.
            page.evaluate("document.getAnimations().forEach((one) => one.finish())")
            problems += [f"dark: {one}" for one in violations(page, COLOURS)]
            page.emulate_media(color_scheme="light")
            if problems:
                found[name] = problems
    assert found == {}


def scales(context: BrowserContext) -> Callable[[], int]:
    """Bytes that the page now open took to load, by a browser that knew nothing of it."""
    # By request of the document that is open; what an earlier one still gets is not its own.
    weights: dict[str, int] = {}

    def begin(event: dict[str, Any]) -> None:
        if event["type"] == "Document":
            weights.clear()
        weights[event["requestId"]] = 0

    def add(event: dict[str, Any]) -> None:
        if event["requestId"] in weights:
            weights[event["requestId"]] = int(event["encodedDataLength"])

    def watch(page: Page) -> None:
        cdp = context.new_cdp_session(page)
        cdp.send("Network.enable")
        cdp.send("Network.setCacheDisabled", {"cacheDisabled": True})
        cdp.on("Network.requestWillBeSent", begin)
        cdp.on("Network.loadingFinished", add)

    context.on("page", watch)
    return lambda: sum(weights.values())


def violations(page: Page, options: dict[str, Any]) -> list[str]:
    # Once a page: another run, in another scheme, finds it there.
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    result = page.evaluate("(options) => axe.run(options)", options)
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in result["violations"]
        for node in one["nodes"][:3]
    ]


def misfits(page: Page, weight: int) -> Iterator[str]:
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        yield "wider than its window"
    if (shift := page.evaluate(SHIFT)) > MOST_SHIFT:
        yield f"moved by {shift:.3f} while it loaded"
    if weight > MOST_BYTES:
        yield f"{weight} bytes to load"
