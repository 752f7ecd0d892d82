"""Alice owns an organization, Bob develops in it, Charlie is another tenant; Stripe is a server of the test's own."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from accounts.models import Membership, Organization, User
from billing.models import LedgerEntry, Wallet
from billing.payments import client as stripe_client
from billing.payments.models import NANO_PER_CENT, TopUp, TopUpQuerySet
from billing.verification import findings
from tests import stripe_server
from tests.stripe_server import KEY, SECRET, Stripe, signed


@pytest.fixture
def stripe(settings: Any) -> Iterator[Stripe]:
    cache.clear()
    with stripe_server.running() as server:
        settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = KEY, SECRET
        settings.STRIPE_API_BASE = server.url
        stripe_client._client.cache_clear()
        yield server
        stripe_client._client.cache_clear()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice@example.com")


@pytest.fixture
def organization(alice: User) -> Organization:
    return alice.personal_organization


@pytest.fixture
def bob(organization: Organization) -> User:
    user = User.objects.create_user("bob@example.com")
    Membership.objects.create(organization=organization, user=user, role=Membership.Role.DEVELOPER)
    return user


@pytest.fixture
def charlie(db: None) -> User:
    return User.objects.create_user("charlie@example.com")


def browser_of(user: User, organization: Organization | None = None) -> Client:
    client = Client()
    client.force_login(user)
    if organization is not None:
        client.post("/organization", {"organization": str(organization.pk)})
    return client


@pytest.fixture
def browser(alice: User) -> Client:
    return browser_of(alice)


@pytest.fixture
def buy(stripe: Stripe) -> Callable[..., TopUp]:
    """Asks for credit as the browser's user, up to Stripe's page."""

    def ask(browser: Client, amount: str = "10.00", **fields: str) -> TopUp:
        response = browser.post("/credits/buy", {"amount": amount, **fields})
        assert response.status_code == 200, response
        top_up: TopUp = response.context["top_up"]
        return top_up

    return ask


@pytest.fixture
def paid(stripe: Stripe, browser: Client, buy: Callable[..., TopUp]) -> TopUp:
    """10 USD of Alice's, credited."""
    top_up = buy(browser)
    stripe.pay(top_up.stripe_session or "")
    browser.get(f"/credits/top-ups/{top_up.pk}")
    top_up.refresh_from_db()
    assert top_up.status == "paid"
    return top_up


def send(payload: bytes, signature: str | None = None) -> HttpResponse:
    """As Stripe does: without a cookie."""
    header = signed(payload) if signature is None else signature
    response: Any = Client(enforce_csrf_checks=True).post(
        "/webhooks/stripe", payload, content_type="application/json", headers={"Stripe-Signature": header}
    )
    return response  # type: ignore[no-any-return]


def credit_cents(organization: Organization) -> int:
    """Of the wallet, which the ledger must agree with."""
    wallet = Wallet.objects.for_organization(organization)
    own = (LedgerEntry.Account.WALLET, LedgerEntry.Account.PROMOTIONAL)
    entries = LedgerEntry.objects.filter(organization=organization, account__in=own)
    assert sum(entries.values_list("amount", flat=True)) == wallet.credit
    return wallet.credit // NANO_PER_CENT


def first_at_the_lock(monkeypatch: pytest.MonkeyPatch, other: Callable[[], None]) -> None:
    """Who wants a top-up's lock next waits until `other` has had it."""
    locked = TopUpQuerySet.locked

    def waits(rows: TopUpQuerySet, pk: UUID) -> TopUp:
        monkeypatch.setattr(TopUpQuerySet, "locked", locked)
        other()
        return locked(rows, pk)

    monkeypatch.setattr(TopUpQuerySet, "locked", waits)


def accounts(organization: Organization) -> dict[str, int]:
    """Cents by account, without those at zero."""
    found: dict[str, int] = {}
    for account, amount in LedgerEntry.objects.filter(organization=organization).values_list("account", "amount"):
        found[account] = found.get(account, 0) + amount
    return {account: amount // NANO_PER_CENT for account, amount in found.items() if amount}


def verified() -> None:
    """What `manage.py verify_ledger` checks."""
    with connection.cursor() as cursor:
        assert list(findings(cursor)) == []


@pytest.fixture
def book_agrees(db: None) -> Iterator[None]:
    """At the end of each test."""
    yield
    verified()
