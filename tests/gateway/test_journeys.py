"""People in real Chromium: who is invited and what a role lets them, a leaked key, a passkey, sessions."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsing import refusals_of
from tests.gateway.conftest import catalogue
from tests.mailbox import Mailbox
from tests.people import PASSWORD
from tests.services import Product, Servers, running
from tests.upstream import Upstream

pytestmark = pytest.mark.slow

# Alice owns Acme, which can pay.
SEED = f"""
from allauth.account.models import EmailAddress
from accounts import organizations
from accounts.models import User
from billing import ledger
for name in ("alice", "frank", "grace"):
    user = User.objects.create_user(f"{{name}}@example.com", {PASSWORD!r})
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
acme = organizations.found("Acme", User.objects.get(email="alice@example.com"))
ledger.grant(acme, amount=10**9, reason="test")
"""


@pytest.fixture(scope="module")
def gateway(servers: Servers, provider: Upstream, mailbox: tuple[Mailbox, int]) -> Iterator[Product]:
    """Two web processes: what one of them revokes the other refuses."""
    env = {"EMAIL_URL": f"smtp://127.0.0.1:{mailbox[1]}"}
    # A passkey belongs to a name; an address is none.
    with running(servers, catalogue=catalogue(provider.url), env=env, web=2, worker=True, host="localhost") as product:
        product.manage("shell", "-c", SEED)
        yield product


class Person:
    """A browser of somebody's own."""

    def __init__(self, browser: Browser, product: Product) -> None:
        self.context = browser.new_context()
        self.page: Page = self.context.new_page()
        self.url = product.url
        self.refused = refusals_of(self.page)

    def log_in(self, email: str) -> Page:
        self.open("/login")
        self.page.get_by_label("Email").fill(email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.press("Log in")
        self.page.wait_for_url("**/dashboard")
        return self.page

    def open(self, path: str) -> Page:
        self.page.goto(path if path.startswith("http") else self.url + path)
        return self.page

    def press(self, name: str) -> None:
        self.page.get_by_role("main").get_by_role("button", name=name, exact=True).click()

    def choose(self, organization: str) -> None:
        self.page.locator("header summary").click()
        self.page.get_by_role("button", name=organization, exact=True).click()
        self.page.get_by_role("heading", name=organization).wait_for()


@pytest.fixture
def person(chromium: Browser, gateway: Product) -> Iterator[Any]:
    """`person()` opens another browser. What the content security policy refuses fails the test."""
    made: list[Person] = []

    def make() -> Person:
        made.append(Person(chromium, gateway))
        return made[-1]

    yield make
    for one in made:
        one.context.close()
    assert [one.refused for one in made if one.refused] == []


def ask(gateway: Product, key: str) -> int:
    """The status of a completion."""
    return gateway.ask(key).status_code


def make_key(person: Person, name: str) -> str:
    page = person.open("/keys")
    page.get_by_role("link", name="New key").click()
    page.get_by_label("Name").fill(name)
    person.press("Create")
    return page.locator("#token").inner_text().strip()


def set_role(page: Page, email: str, role: str) -> None:
    row = page.get_by_role("listitem").filter(has_text=email)
    row.get_by_label(f"Role of {email}").select_option(label=role)
    row.get_by_role("button", name="Set").click()
    page.get_by_text(f"{email} is {role.lower()} now.").wait_for()


def test_who_is_invited_does_what_their_role_lets_them(
    gateway: Product, mailbox: tuple[Mailbox, int], script: Upstream, person: Any
) -> None:
    alice, bob = person(), person()
    members = alice.log_in("alice@example.com")
    alice.choose("Acme")
    alice.open("/settings/members")
    members.get_by_label("E-mail").fill("bob@example.com")
    members.get_by_label("Role", exact=True).select_option(label="Viewer")
    alice.press("Invite")
    members.get_by_text("A link is on its way to bob@example.com.").wait_for()

    link = re.search(r"http://\S+/invitations/\S+", mailbox[0].last_to("bob@example.com"))
    assert link
    page = bob.open(link[0])
    page.get_by_role("main").get_by_role("link", name="Sign up").click()
    page.get_by_label("Email").fill("bob@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    bob.press("Sign up")
    bob.press("Join")
    page.get_by_role("heading", name="Acme").wait_for()

    # A viewer looks, and makes nothing.
    bob.open("/keys")
    assert page.get_by_role("link", name="New key").count() == 0
    bob.open("/keys/new")
    page.get_by_role("heading", name="Not allowed").wait_for()

    # A developer makes keys, and neither invites nor reads the audit log.
    alice.open("/settings/members")
    set_role(members, "bob@example.com", "Developer")
    key = make_key(bob, "bob's")
    assert ask(gateway, key) == 200
    bob.open("/settings/members")
    assert page.get_by_role("button", name="Invite").count() == 0
    bob.open("/settings/audit")
    page.get_by_role("heading", name="Not allowed").wait_for()

    # An admin does both; what was done is told there.
    set_role(members, "bob@example.com", "Admin")
    told = bob.open("/settings/audit").locator("main").inner_text()
    assert "Developer" in told or "developer" in told
    assert "bob@example.com" in told
    bob.open("/settings/members")
    assert page.get_by_role("button", name="Invite").count() == 1

    # Removed, with the key that Bob made.
    row = members.get_by_role("listitem").filter(has_text="bob@example.com")
    row.get_by_text("Remove", exact=True).click()
    row.get_by_role("button", name="Remove bob@example.com").click()
    members.get_by_text("bob@example.com is no longer a member; keys switched off: 1.").wait_for()
    assert {ask(gateway, key) for _ in range(6)} == {401}
    assert "Acme" not in bob.open("/dashboard").locator("header").inner_text()


@pytest.mark.parametrize("how", ["disabled", "deleted"])
def test_a_leaked_key_is_refused_as_soon_as_the_page_says_so(
    gateway: Product, script: Upstream, person: Any, how: str
) -> None:
    alice = person()
    page = alice.log_in("alice@example.com")
    alice.choose("Acme")
    key = make_key(alice, f"leaked, {how}")
    # Both processes know it.
    assert {ask(gateway, key) for _ in range(6)} == {200}
    alice.open("/keys")
    page.get_by_role("link", name=f"leaked, {how}").click()
    if how == "disabled":
        page.get_by_label("Disabled").check()
        alice.press("Save")
    else:
        alice.press("Delete this key")
    page.get_by_role("heading", name="API keys").wait_for()
    assert {ask(gateway, key) for _ in range(6)} == {401}


def test_a_passkey_is_enrolled_and_logs_in_without_the_password(person: Any) -> None:
    frank = person()
    page = frank.log_in("frank@example.com")
    cdp = frank.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    device = {"options": options | {"isUserVerified": True, "automaticPresenceSimulation": True}}
    authenticator = cdp.send("WebAuthn.addVirtualAuthenticator", device)["authenticatorId"]
    frank.open("/settings/factors/passkeys/new")
    if "reauthenticate" in page.url:
        page.get_by_label("Password").fill(PASSWORD)
        frank.press("Confirm")
    page.get_by_label("Name").fill("Laptop")
    page.get_by_label("Passwordless").check()
    frank.press("Add")
    page.wait_for_url(lambda url: not url.endswith("/new"))
    assert len(cdp.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})["credentials"]) == 1
    frank.open("/settings/factors/passkeys")
    page.get_by_text("Laptop").wait_for()

    frank.context.clear_cookies()
    frank.open("/login?next=/settings/sessions")
    frank.press("Log in with a passkey")
    page.wait_for_url("**/settings/sessions")
    expect(page.get_by_text("this one")).to_be_visible()

    # Beside the password it is the second factor.
    frank.context.clear_cookies()
    frank.open("/login")
    page.get_by_label("Email").fill("frank@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    frank.press("Log in")
    page.get_by_role("heading", name="Second factor").wait_for()
    frank.press("Use a passkey")
    page.wait_for_url("**/dashboard")

    # A device that does not have it opens nothing, and the page says so.
    frank.context.clear_cookies()
    cdp.send("WebAuthn.clearCredentials", {"authenticatorId": authenticator})
    frank.open("/login")
    frank.press("Log in with a passkey")
    page.get_by_text("No passkey was used.").wait_for()
    assert page.url.endswith("/login")


def test_a_session_is_ended_from_another_browser(person: Any) -> None:
    here, there = person(), person()
    page = here.log_in("grace@example.com")
    there.log_in("grace@example.com")
    here.open("/settings/sessions")
    rows = page.get_by_role("listitem").filter(has_text="since")
    assert rows.count() == 2
    here.press("End")
    page.get_by_text("Sessions ended: 1.").wait_for()
    assert rows.count() == 1
    there.open("/dashboard")
    assert "/login" in there.page.url
    assert "/dashboard" in here.open("/dashboard").url
