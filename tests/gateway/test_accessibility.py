"""axe-core, transferred bytes and layout shift on every page: phone and laptop, light and dark."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.gateway.conftest import catalogue
from tests.office import Office
from tests.people import SELLS, People, context
from tests.services import Servers, running
from tests.upstream import Step, Upstream, chunk

pytestmark = pytest.mark.slow

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
# What another colour scheme can change; markup is the same in both.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
# What another width can change, too.
NARROW = {"runOnly": {"type": "rule", "values": ["color-contrast", "target-size", "scrollable-region-focusable"]}}
# By rule, the class of what Swagger UI makes and no setting of its changes: a button with links in it, which tells of
# itself what they say; groups of paths as headings of the third level under the first.
THEIRS = {"nested-interactive": "opblock-summary-control", "heading-order": "opblock-tag"}
OFFICE = {
    *("office-login", "docs", "office-index", "office-app", "office-providers_provider-list"),
    *("office-billing_generation", "office-providers_endpoint"),
    *("office-accounts_organization", "office-auth_group", "office-django_celery_beat_periodictask-add"),
    *("office-review", "office-upload", "office-billing_usageday-list", "office-credit", "office-look"),
}
LAPTOP, PHONE = 1280, 390
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
@pytest.mark.parametrize("width", [LAPTOP, PHONE])
def test_every_page_can_be_read_and_is_light_and_still(
    people: People, script: Upstream, chromium: Browser, width: int
) -> None:
    script.script("one-primary", long_answer())
    found: dict[str, Any] = {}
    with context(chromium, width=width, scheme="light") as fresh:
        weigh = scales(fresh)
        for name, page in people.pages(fresh):
            problems = [*misfits(page, weigh()), *violations(page, {} if width > PHONE else NARROW)]
            dress(page, "dark")
            problems += [f"dark: {one}" for one in violations(page, COLOURS)]
            dress(page, "light")
            if problems:
                found[name] = problems
    assert found == {}


@pytest.mark.timeout(600)
def test_the_back_office_and_the_api_s_page_can_be_read(people: People, chromium: Browser) -> None:
    """One page of each kind; the others are of the same templates."""
    found: dict[str, list[str]] = {}
    office = Office(people)
    with context(chromium, width=LAPTOP, scheme="light") as fresh:
        weigh = scales(fresh)
        for name, page in office.pages(fresh, OFFICE):
            weight = weigh()
            # Swagger UI alone is half a megabyte.
            if problems := [*misfits(page, 0 if name == "docs" else weight), *looks(page)]:
                found[name] = problems
    assert found == {}


def long_answer() -> list[Step]:
    """Longer than a window, and so slow that browsers no longer take what moves for the effect of a key."""
    lines = [chunk({"content": f"And {number} is one more.\n"}) for number in range(60)]
    return [
        {"sleep": 0.7},
        *(step for line in lines for step in (line, {"sleep": 0.01})),
        chunk({}, "stop"),
        {"done": True},
    ]


def looks(page: Page) -> Iterator[str]:
    """In both schemes at both widths, without loading it again."""
    for width, scheme, options in ((LAPTOP, "light", {}), (LAPTOP, "dark", COLOURS), (PHONE, "dark", NARROW)):
        page.set_viewport_size({"width": width, "height": 844})
        dress(page, scheme)
        if is_too_wide(page):
            yield f"{width}: wider than its window"
        yield from (f"{width}, {scheme}: {one}" for one in violations(page, options))
    page.set_viewport_size({"width": LAPTOP, "height": 844})
    dress(page, "light")


def dress(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    # Colours glide to those of the other scheme.
    page.evaluate("document.getAnimations().forEach((one) => one.finish())")


def scales(context: BrowserContext) -> Callable[[], int]:
    """Bytes of all but the page itself that the one now open took to load, by a browser that knew nothing of it."""
    # By request of the document that is open; what an earlier one still gets is not its own.
    weights: dict[str, int] = {}

    def begin(event: dict[str, Any]) -> None:
        if event["type"] == "Document":
            weights.clear()
        else:
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
        for node in one["nodes"]
        if not theirs(one["id"], node["html"])
    ][:12]


def theirs(rule: str, html: str) -> bool:
    return THEIRS.get(rule, "\0") in html.partition(">")[0]


def misfits(page: Page, weight: int) -> Iterator[str]:
    if is_too_wide(page):
        yield "wider than its window"
    if (shift := page.evaluate(SHIFT)) > MOST_SHIFT:
        yield f"moved by {shift:.3f} while it loaded"
    if weight > MOST_BYTES:
        yield f"{weight} bytes to load"


def is_too_wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))
