"""Granting and correcting credit in the admin: a form, a confirmation, one posting with its event."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent, Organization, User
from billing import ledger
from billing.models import LedgerEntry, LedgerTransaction, Wallet
from tests.gateway.conftest import catalogue
from tests.services import Product

pytestmark = pytest.mark.thorough

WEB_ROOT = "root@example.com", "correct horse battery"


@pytest.fixture
def acme(db: None) -> Organization:
    """Has 10 USD, of which 4 are spent."""
    organization = Organization.objects.create(name="Acme")
    ledger.grant(organization, amount=10 * 10**9, reason="welcome")
    Wallet.objects.filter(organization=organization).update(spent=4 * 10**9)
    return organization


def page(organization: Organization) -> str:
    return reverse("admin:accounts_organization_credit", args=[organization.pk])


def form(amount: str, **changes: str) -> dict[str, str]:
    return {"amount": amount, "reason": "as agreed", "token": str(uuid4()), "confirmed": "Post", **changes}


def entries(posted: LedgerTransaction) -> dict[str, int]:
    return dict(LedgerEntry.objects.filter(transaction=posted).values_list("account", "amount"))


def test_a_grant_is_posted_with_reason_author_and_event(root: Client, acme: Organization) -> None:
    reply = root.post(page(acme), form("2.000000001"), follow=True)
    assert "2.000000001 USD posted" in reply.content.decode()

    posted = LedgerTransaction.objects.latest("id")
    user = User.objects.get(email="root@example.com")
    assert (posted.kind, posted.reason, posted.created_by) == ("grant", "as agreed", user)
    assert entries(posted) == {"wallet": 2_000_000_001, "grants": -2_000_000_001}
    wallet = Wallet.objects.get(organization=acme)
    assert (wallet.credit, wallet.spent, wallet.version) == (12_000_000_001, 4 * 10**9, 2)
    event = AuditEvent.objects.get()
    assert (event.verb, event.actor, event.organization, event.address) == ("grant", user, acme, "127.0.0.1")
    assert (event.target_type, event.target_id) == ("billing.ledgertransaction", str(posted.pk))
    assert event.details == {"amount_usd": "2.000000001", "reason": "as agreed"}


def test_a_correction_may_go_below_what_is_spent(root: Client, acme: Organization) -> None:
    root.post(page(acme), form("-7"))
    posted = LedgerTransaction.objects.latest("id")
    assert (posted.kind, entries(posted)) == ("correction", {"wallet": -7 * 10**9, "corrections": 7 * 10**9})
    assert Wallet.objects.get(organization=acme).spendable == -(10**9)
    assert AuditEvent.objects.get().verb == "correct"


def test_nothing_is_posted_before_it_is_confirmed(root: Client, acme: Organization) -> None:
    assert "6.00 USD" in root.get(page(acme)).content.decode()
    asked = form("-7", reason="<b>wrong</b>")
    del asked["confirmed"]
    html = root.post(page(acme), asked).content.decode()
    assert "-1.00 USD" in html
    assert "will be below zero" in html
    assert "<b>wrong" not in html
    assert asked["token"] in html
    assert (LedgerTransaction.objects.count(), AuditEvent.objects.count()) == (1, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"amount": "0.000"}, "must not be 0"),
        ({"amount": "1e3"}, "at most 9 decimals"),
        ({"amount": "1.0000000001"}, "at most 9 decimals"),
        ({"amount": "NaN"}, "at most 9 decimals"),
        ({"amount": "1000000001"}, "a billion"),
        ({"amount": ""}, "required"),
        ({"reason": "  "}, "required"),
        ({"token": "x"}, "errornote"),
    ],
)
def test_a_bad_form_posts_nothing(root: Client, acme: Organization, changes: dict[str, str], message: str) -> None:
    reply = root.post(page(acme), {**form("1"), **changes})
    assert reply.status_code == 200
    assert message in reply.content.decode()
    assert (LedgerTransaction.objects.count(), AuditEvent.objects.count()) == (1, 0)


def test_a_form_that_is_sent_twice_posts_once(root: Client, acme: Organization) -> None:
    sent = form("5")
    root.post(page(acme), sent)
    reply = root.post(page(acme), sent, follow=True)
    assert "nothing was posted again" in reply.content.decode()
    assert Wallet.objects.get(organization=acme).credit == 15 * 10**9
    assert (LedgerTransaction.objects.count(), AuditEvent.objects.count()) == (2, 1)


def test_more_than_a_wallet_can_hold_is_refused(root: Client, acme: Organization) -> None:
    Wallet.objects.filter(organization=acme).update(credit=9 * 10**18)
    reply = root.post(page(acme), form("1000000000"), follow=True)
    assert "cannot hold that much" in reply.content.decode()
    assert (LedgerTransaction.objects.count(), AuditEvent.objects.count()) == (1, 0)


def test_without_its_event_nothing_is_posted(root: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("accounts.audit.record", fail)
    with pytest.raises(RuntimeError):
        root.post(page(acme), form("5"))
    assert Wallet.objects.get(organization=acme).credit == 10 * 10**9
    assert LedgerTransaction.objects.count() == 1


@pytest.mark.parametrize("codenames", [(), ("view_organization", "change_organization", "view_ledgertransaction")])
def test_who_may_not_post_is_refused(client: Client, acme: Organization, codenames: tuple[str, ...]) -> None:
    user = User.objects.create_user("staff@example.com", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    assert client.get(page(acme)).status_code == 403
    assert client.post(page(acme), form("1")).status_code == 403
    assert LedgerTransaction.objects.count() == 1
    if codenames:
        change = reverse("admin:accounts_organization_change", args=[acme.pk])
        assert page(acme) not in client.get(change).content.decode()


def test_a_permission_lets_staff_post(client: Client, acme: Organization) -> None:
    user = User.objects.create_user("staff@example.com", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__in=("view_organization", "change_organization", "add_ledgertransaction"))
    )
    client.force_login(user)
    change = reverse("admin:accounts_organization_change", args=[acme.pk])
    assert page(acme) in client.get(change).content.decode()
    assert client.post(page(acme), form("1")).status_code == 302


def test_an_unknown_organization_is_not_found(root: Client, acme: Organization) -> None:
    assert root.get(page(Organization(name="unsaved"))).status_code == 404


# Through real processes, at the same moment


def log_in(product: Product) -> httpx.Client:
    browser = httpx.Client(base_url=product.url, follow_redirects=True, timeout=30)
    browser.get("/admin/login/")
    email, password = WEB_ROOT
    sent = {"username": email, "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    assert "Back office" in browser.post("/admin/login/?next=/admin/", data=sent, headers=origin(product)).text
    return browser


def origin(product: Product) -> dict[str, str]:
    return {"Origin": product.url, "Referer": product.url}


def test_corrections_at_the_same_moment_all_count_and_each_form_once(product: Callable[..., Product]) -> None:
    gateway = product(
        web=2, catalogue=catalogue("http://127.0.0.1:9/v1"), env={"DJANGO_SUPERUSER_PASSWORD": WEB_ROOT[1]}
    )
    gateway.manage("createsuperuser", "--noinput", "--email", WEB_ROOT[0])
    gateway.issue_key("alice@example.com", "10")
    [(organization,)] = gateway.sql(
        "SELECT m.organization_id FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id"
        " WHERE u.email = 'alice@example.com'"
    )
    browser = log_in(gateway)
    forms = [form("-0.000000001") for _ in range(8)] * 3

    def send(data: dict[str, str]) -> int:
        data = {**data, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        path = f"/admin/accounts/organization/{organization}/credit/"
        return browser.post(path, data=data, headers=origin(gateway), follow_redirects=False).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, forms)) == {302}

    [(credit, version)] = gateway.sql(
        "SELECT credit, version FROM billing_wallet WHERE organization_id = %s", [organization]
    )
    assert (credit, version) == (10 * 10**9 - 8, 9)
    assert gateway.sql("SELECT account, sum(amount)::bigint FROM billing_ledgerentry GROUP BY 1 ORDER BY 1") == [
        ("corrections", 8),
        ("grants", -10 * 10**9),
        ("wallet", 10 * 10**9 - 8),
    ]
    assert gateway.sql("SELECT count(*) FROM accounts_auditevent WHERE verb = 'correct'") == [(8,)]
