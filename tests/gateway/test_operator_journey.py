"""An operator in real Chromium, without a shell: adds a provider, prices it, watches traffic move, drains it."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browsing import page_of
from tests.gateway.conftest import catalogue
from tests.people import PASSWORD
from tests.services import Product, Servers, running
from tests.upstream import Upstream, chunk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = f"""
from allauth.account.models import EmailAddress
from accounts.models import User
user = User.objects.create_superuser("root@example.com", {PASSWORD!r})
EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
"""
SECRET = "sk-newcomer-secret-key"
HELD = [chunk({"content": "begun "}), {"gate": "drained"}, chunk({"content": "and done"}, "stop"), {"done": True}]


@pytest.fixture
def gateway(servers: Servers, provider: Upstream) -> Iterator[Product]:
    with running(servers, catalogue=catalogue(provider.url), worker=True) as product:
        product.manage("shell", "-c", ROOT)
        yield product


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with page_of(chromium, width=1280, height=800) as page:
        yield page


class Customer:
    """Asks for the model that both providers serve."""

    def __init__(self, gateway: Product) -> None:
        self.url = f"{gateway.url}/api/v1/chat/completions"
        self.headers = {"Authorization": f"Bearer {gateway.issue_key('alice@example.com')}"}

    def ask(self, times: int) -> list[str]:
        """Who answered."""
        answers = [self.post({}) for _ in range(times)]
        assert [answer.status_code for answer in answers] == [200] * times
        return [answer.json()["provider"] for answer in answers]

    def stream(self) -> str:
        return self.post({"stream": True}).text

    def post(self, fields: dict[str, bool]) -> httpx.Response:
        body = {"model": "acme/one", "messages": [{"role": "user", "content": "Hi"}], **fields}
        return httpx.post(self.url, json=body, headers=self.headers, timeout=60)


def log_in(page: Page, gateway: Product) -> None:
    page.goto(f"{gateway.url}/admin/")
    page.get_by_label("Email").fill("root@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    home(page)


def home(page: Page) -> None:
    page.get_by_role("link", name="Turnpike").click()
    expect(page.get_by_role("heading", name="Back office")).to_be_visible()


def go(page: Page, section: str) -> Page:
    """By the first page's own links."""
    home(page)
    page.locator("#content-main tr").get_by_role("link", name=section, exact=True).click()
    expect(page.locator("#changelist")).to_be_visible()
    return page


def save(page: Page, button: str = "Save") -> None:
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.locator(".messagelist .success")).to_contain_text("successfully")


def fill(page: Page, label: str, text: str) -> None:
    # Django keeps a hidden row to copy.
    page.get_by_label(label, exact=True).filter(visible=True).fill(text)


def choose(page: Page, field: str, text: str) -> None:
    """Types into a field that looks rows up."""
    page.locator(f".field-{field} .select2-selection").click()
    page.locator(".select2-search__field").fill(text)
    page.locator(".select2-results__option").filter(has_text=text).first.click()


def add_provider(page: Page, url: str) -> None:
    go(page, "Providers").get_by_role("link", name="Add provider").click()
    fill(page, "Slug:", "newcomer")
    fill(page, "Name:", "Newcomer")
    fill(page, "Max concurrency:", "5")
    fill(page, "Base URL:", url)
    fill(page, "Secret:", SECRET)
    save(page)
    page.locator("#result_list").get_by_role("link", name="newcomer").click()
    assert SECRET not in page.content()
    expect(page.locator("#credential-0 .field-hint")).to_contain_text(SECRET[-4:])


def add_endpoint(page: Page) -> None:
    go(page, "Endpoints").get_by_role("link", name="Add endpoint").click()
    choose(page, "model", "acme/one")
    choose(page, "provider", "Newcomer")
    fill(page, "Tag:", "newcomer")
    fill(page, "Upstream model:", "one-newcomer")
    save(page)
    row = page.locator("#result_list tr").filter(has_text="one-newcomer")
    expect(row.locator(".field-prompt_price")).to_have_text("no price")


def price(page: Page) -> None:
    go(page, "Endpoints").locator("#searchbar").fill("newcomer")
    page.get_by_role("button", name="Search").click()
    page.locator("#result_list tbody").get_by_role("link").click()
    fill(page, "Prompt:", "0.00000001")
    fill(page, "Completion:", "0.00000002")
    fill(page, "Source:", "their letter")
    fill(page, "As of:", f"{date.today()}")
    save(page, "Save and continue editing")
    expect(page.locator("#prices-2-group")).to_contain_text("their letter")


def row_of(page: Page, provider: str) -> Locator:
    """Of the first page's providers."""
    return page.locator("#providers tbody tr").filter(has=page.get_by_role("link", name=provider))


def wait_for(page: Page, holds: Callable[[], bool]) -> None:
    """The first page, loaded again and again."""
    for _ in range(100):
        home(page)
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError(page.locator("#content").inner_text())


def sum_up(page: Page) -> None:
    """Beat does it each minute; an operator need not wait."""
    go(page, "Periodic tasks")
    tick(page, "usage")
    act(page, "Run selected tasks", "successfully run")


def tick(page: Page, name: str) -> None:
    row = page.locator("#result_list tbody tr").filter(has=page.get_by_role("link", name=name, exact=True))
    row.locator("input.action-select").check()


def act(page: Page, action: str, told: str) -> None:
    page.get_by_label("Action:").select_option(label=action)
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text(told)


def answered_by(page: Page) -> list[str]:
    """As the list of generations says, newest first."""
    return go(page, "Generations").locator("td.field-provider").all_inner_texts()


def drain_with_one_under_way(page: Page, script: Upstream, customer: Customer, stream: "Future[str]") -> None:
    wait_for(page, lambda: there_now(page) == "1 of 5")
    asked = len(script.seen("one-newcomer"))
    go(page, "Providers")
    tick(page, "newcomer")
    act(page, "Drain selected providers: no new requests", "1 provider changed.")
    # Every process hears of it within a second.
    page.wait_for_timeout(1000)
    assert set(customer.ask(6)) == {"Primary"}
    assert answered_by(page)[:6] == ["primary"] * 6
    home(page)
    expect(row_of(page, "Newcomer")).to_contain_text("draining")
    assert there_now(page) == "1 of 5"
    assert not stream.done()
    script.open("drained")
    text = stream.result(timeout=30)
    assert "and done" in text
    assert text.rstrip().endswith("data: [DONE]")
    wait_for(page, lambda: there_now(page) == "0 of 5")
    assert len(script.seen("one-newcomer")) == asked


def requests(page: Page) -> int:
    """The first cell of the provider's row: those of the last day."""
    row = row_of(page, "Newcomer")
    return int(row.locator("td").first.inner_text()) if row.count() else 0


def there_now(page: Page) -> str:
    """The last cell but one of the provider's row: requests under way there."""
    return row_of(page, "Newcomer").locator("td").nth(-2).inner_text()


def test_a_provider_is_added_priced_watched_and_drained(
    gateway: Product, provider: Upstream, script: Upstream, page: Page
) -> None:
    customer = Customer(gateway)
    log_in(page, gateway)
    add_provider(page, provider.url)
    add_endpoint(page)
    # Without a price it is not asked.
    assert set(customer.ask(4)) == {"Primary"}
    assert script.seen("one-newcomer") == []

    price(page)
    # A hundredth of the other's price draws nearly all.
    wait_for(page, lambda: customer.ask(1) == ["Newcomer"])
    script.reset()
    came = customer.ask(12)
    assert came.count("Newcomer") >= 10
    assert len(script.seen("one-newcomer")) == came.count("Newcomer")
    assert {one["headers"]["authorization"] for one in script.seen("one-newcomer")} == {f"Bearer {SECRET}"}
    assert answered_by(page)[:12] == [name.lower() for name in reversed(came)]
    sum_up(page)
    # A beat in between has counted some already.
    wait_for(page, lambda: requests(page) >= came.count("Newcomer"))

    with ThreadPoolExecutor(1) as pool:
        script.script("one-newcomer", HELD)
        drain_with_one_under_way(page, script, customer, pool.submit(customer.stream))

    go(page, "Audit events")
    told = page.locator("#result_list tr").filter(has_text="is_draining")
    expect(told).to_contain_text("root@example.com")
