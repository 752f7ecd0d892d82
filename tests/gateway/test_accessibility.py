"""Contrast by axe-core on every page, dark; nothing is wider than its window or moves while it loads."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.gateway.conftest import catalogue
from tests.gateway.test_browser import browser, chromium
from tests.people import SELLS, People, context
from tests.services import Servers, running
from tests.upstream import Upstream

pytestmark = pytest.mark.slow
__all__ = ["browser", "chromium"]

AXE = files("axe_playwright_python").joinpath("axe.min.js")
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


CONTRAST: dict[str, Any] = {"type": "rule", "values": ["color-contrast"]}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("width", "scheme", "rules"), [(1280, "dark", CONTRAST)])
def test_every_page_can_be_read(
    people: People, browser: Browser, width: int, scheme: str, rules: dict[str, Any]
) -> None:
    found: dict[str, Any] = {}
    with context(browser, width=width, scheme=scheme) as fresh:
        for name, page in people.pages(fresh):
            if problems := [*violations(page, rules), *misfits(page)]:
                found[name] = problems
    assert found == {}


def violations(page: Page, rules: dict[str, Any]) -> list[str]:
    page.evaluate(AXE.read_text())
    result = page.evaluate("(rules) => axe.run({ runOnly: rules })", rules)
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in result["violations"]
        for node in one["nodes"][:3]
    ]


def misfits(page: Page) -> Iterator[str]:
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        yield "wider than its window"
    if (shift := page.evaluate(SHIFT)) > 0.01:
        yield f"moved by {shift:.3f} while it loaded"
