"""A new user in real Chromium: sign-up, the link in a mail, a key, the curl beside it, its generation on screen."""

import json
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsing import page_of
from tests.gateway.conftest import catalogue
from tests.mailbox import Mailbox
from tests.people import PASSWORD
from tests.services import Product, Servers, running
from tests.upstream import Upstream

pytestmark = pytest.mark.slow

CREDIT = "2.500000001"


@pytest.fixture(scope="module")
def gateway(servers: Servers, provider: Upstream, mailbox: tuple[Mailbox, int]) -> Iterator[Product]:
    env = {"EMAIL_URL": f"smtp://127.0.0.1:{mailbox[1]}", "SIGNUP_CREDIT": CREDIT}
    with running(servers, catalogue=catalogue(provider.url), env=env, worker=True) as product:
        yield product


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with page_of(chromium) as page:
        yield page


def test_from_sign_up_to_a_first_completion(
    gateway: Product, mailbox: tuple[Mailbox, int], script: Upstream, page: Page
) -> None:
    page.goto(gateway.url)
    page.get_by_role("link", name="Sign up").first.click()
    page.get_by_label("Email").fill("Alice@Example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    page.get_by_role("heading", name="Look into your mail").wait_for()

    link = re.search(r"http://\S+", mailbox[0].last_to("alice@example.com"))
    assert link
    page.goto(link[0])
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("heading", name="alice@example.com").wait_for()
    assert f"${CREDIT}" in page.content()

    # First steps: a key, a curl to copy that has it, the first generation on screen.
    page.get_by_role("button", name="Make a key and fill it in").click()
    page.get_by_text("Your key “Quick start”").wait_for()
    assert "Waiting for your first request" in page.locator("main").inner_text()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).last.click()
    page.get_by_role("button", name="Copied").wait_for()
    cost = run(page.evaluate("navigator.clipboard.readText()"))
    page.get_by_text("It came: acme/one").wait_for()
    page.get_by_role("link", name="Look at it").click()
    page.get_by_role("heading", name="Attempts").wait_for()
    page.get_by_role("link", name="Dashboard").click()
    main = page.get_by_role("main")
    expect(main).to_contain_text(f"${Decimal(CREDIT) - cost:f}")
    expect(main).to_contain_text(f"${cost:f}")

    page.get_by_role("link", name="acme/one").first.click()
    page.get_by_role("heading", name="Attempts").wait_for()
    expect(main).to_contain_text(f"${cost:f}")
    page.get_by_role("link", name="Credits").click()
    expect(main).to_contain_text(f"-${cost:f}")


def run(curl: str) -> Decimal:
    """What a shell makes of it; what the answer says that it cost, to the nano-dollar."""
    done = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    cost = Decimal(str(json.loads(done.stdout)["usage"]["cost"])).quantize(Decimal("1e-9")).normalize()
    assert cost > 0
    return cost


def test_the_theme_is_switched_and_kept(gateway: Product, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(gateway.url)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Switch between dark and light").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.goto(f"{gateway.url}/models")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


@pytest.mark.parametrize("path", ["/", "/models", "/models/acme/three", "/login", "/signup", "/nowhere"])
def test_nothing_is_wider_than_a_phone(gateway: Product, page: Page, path: str) -> None:
    page.goto(gateway.url + path)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_chat_with_two_models_is_paid_by_the_organization(gateway: Product, script: Upstream, page: Page) -> None:
    people = "from accounts.models import User; from allauth.account.models import EmailAddress as E; "
    people += f"u = User.objects.create_user('chat@example.com', {PASSWORD!r}); "
    people += "E.objects.create(user=u, email=u.email, verified=True, primary=True)"
    gateway.manage("shell", "-c", people)
    gateway.issue_key("chat@example.com", "5")
    page.goto(f"{gateway.url}/login?next=/chat")
    page.get_by_label("Email").fill("chat@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in", exact=True).click()
    page.get_by_label("Model to add").fill("acme/three")
    page.get_by_role("button", name="Add").click()
    page.get_by_label("Message").fill("Hello <b>there</b>")
    page.keyboard.press("Enter")
    for slug in ("acme/one", "acme/three"):
        answer = page.get_by_role("region", name=slug)
        answer.get_by_text(re.compile(r"tokens · \$0\.0000")).wait_for()
        assert "Hello <b>there</b>" in answer.inner_text()
    page.get_by_role("button", name="Show as code").click()
    code = page.get_by_role("region", name="This chat as code")
    for language, said in (("curl", "$TURNPIKE_API_KEY"), ("Python", "import os"), ("TypeScript", "import OpenAI")):
        code.get_by_label("Language").select_option(label=language)
        assert said in code.inner_text()
        assert '"model": "acme/one"' in code.inner_text()

    # Kept in the browser, and nowhere else; its key is not among people's keys.
    page.reload()
    mine = page.locator("#columns").get_by_text("Hello <b>there</b>")
    expect(mine).to_have_count(2)
    page.get_by_role("button", name="New chat").click()
    expect(mine).to_have_count(0)
    page.get_by_text("Earlier chats").click()
    page.get_by_role("button", name="Hello <b>there</b>").click()
    expect(mine).to_have_count(2)
    # A model's page opens a chat with that model.
    page.goto(f"{gateway.url}/models/acme/other")
    page.get_by_role("link", name="Chat with it").click()
    page.get_by_role("region", name="acme/other").wait_for()
    assert (page.get_by_role("region", name="acme/one").count(), mine.count()) == (0, 0)
    page.goto(f"{gateway.url}/keys")
    assert "Playground" not in page.content()
    page.goto(f"{gateway.url}/logs")
    shown = page.content()
    assert shown.count("acme/one</a>") == shown.count("acme/three</a>") == 1
