"""Refunds by an operator and at Stripe: taken first, paid back once, credit again when refused."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import AuditEvent, User
from billing import ledger
from billing.models import Generation, LedgerTransaction, Wallet
from billing.payments import refunds
from billing.payments.models import NANO_PER_CENT, Refund, TopUp
from tests.payments.conftest import accounts, credit_cents, first_at_the_lock, send
from tests.stripe_server import Stripe

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("book_agrees")]


def spend(top_up: TopUp, cents: int) -> None:
    """As the till leaves it."""
    amount, now = cents * NANO_PER_CENT, timezone.now()
    Generation.objects.create(
        id=uuid7(), organization_id=top_up.organization_id, outcome="ok", charge=amount, created_at=now, closed_at=now
    )
    wallet = Wallet.objects.filter(organization=top_up.organization)
    wallet.update(spent=amount, unposted_charge=amount)


def ask(root: Client, top_up: TopUp, amount: str = "4.00", **fields: str) -> Any:
    """The form as it is shown, filled in."""
    path = f"/admin/billing/topup/{top_up.pk}/refund/"
    token = re.search(r'name="token" value="([^"]+)"', root.get(path).content.decode())
    given = {"amount": amount, "reason": "asked for", "token": token[1] if token else "", **fields}
    return root.post(path, given, follow=True)


def test_part_of_a_payment(stripe: Stripe, paid: TopUp, root: Client) -> None:
    shown = ask(root, paid).content.decode()
    assert "$4.00 refunded" in shown
    refund = Refund.objects.get()
    assert (refund.status, refund.credit_cents) == ("paid", 400)
    (sent,) = stripe.rows["refunds"].values()
    assert (sent["amount"], sent["payment_intent"]) == (400, paid.stripe_intent)
    assert credit_cents(paid.organization) == 600
    assert accounts(paid.organization) == {"wallet": 600, "payment_clearing": -600}
    assert AuditEvent.objects.get(target_id=str(refund.pk)).details["amount"] == "$4.00"


def test_with_the_fee(stripe: Stripe, browser: Client, buy: Any, root: Client, settings: Any) -> None:
    settings.TOPUP_FEE_FIXED_CENTS = 50
    top_up = buy(browser)
    stripe.pay(top_up.stripe_session)
    browser.get(f"/credits/top-ups/{top_up.pk}")
    ask(root, top_up, "10.00", with_fee="on")
    assert next(iter(stripe.rows["refunds"].values()))["amount"] == 1050
    assert accounts(top_up.organization) == {}


@pytest.mark.parametrize("amount", ["10.01", "0", "-1", "0.001", "x", "NaN", ""])
def test_more_than_was_paid_or_nothing(stripe: Stripe, paid: TopUp, root: Client, amount: str) -> None:
    assert ask(root, paid, amount).context["form"].errors["amount"]
    assert not Refund.objects.exists()
    assert stripe.count("/v1/refunds") == 0


def test_no_more_than_is_left_of_it(stripe: Stripe, paid: TopUp, root: Client) -> None:
    ask(root, paid, "6.00")
    assert ask(root, paid, "4.01").context["form"].errors["amount"]
    ask(root, paid, "4.00")
    assert credit_cents(paid.organization) == 0
    assert stripe.count("/v1/refunds") == 2


def test_no_more_than_is_unspent(stripe: Stripe, paid: TopUp, root: Client) -> None:
    spend(paid, 700)
    response = ask(root, paid, "3.01")
    assert "The wallet has 3.00 USD" in response.content.decode()
    assert not Refund.objects.exists()
    ask(root, paid, "3.00")
    assert Wallet.objects.get().spendable == 0


def test_a_form_sent_twice_refunds_once(stripe: Stripe, paid: TopUp, root: Client) -> None:
    token = str(uuid7())
    for _ in range(2):
        ask(root, paid, token=token)
    assert credit_cents(paid.organization) == 600
    assert stripe.count("/v1/refunds") == 1


def test_refused_by_stripe_is_credit_again(stripe: Stripe, paid: TopUp, root: Client) -> None:
    """All of it was paid back at Stripe, and nobody told us yet."""
    stripe.put("refunds", id="re_x", status="failed", amount=1000, payment_intent=paid.stripe_intent, currency="usd")
    shown = ask(root, paid).content.decode()
    assert "Stripe refused" in shown
    assert Refund.objects.get().status == "refused"
    assert credit_cents(paid.organization) == 1000
    kinds = LedgerTransaction.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["top_up", "refund", "refund_refused"]


def test_without_an_answer_it_is_asked_again_and_paid_once(stripe: Stripe, paid: TopUp, root: Client) -> None:
    """Stripe has done it, and its answers are lost: the work is found by what we wrote into it."""
    stripe.fail("/v1/refunds", 0, 0, 0)
    assert "has not answered" in ask(root, paid).content.decode()
    assert Refund.objects.get().status == "taken"
    assert credit_cents(paid.organization) == 600
    # A day later, Stripe has forgotten our key.
    stripe.answers_by_key.clear()
    refunds.pay_waiting(Refund.objects.all())
    assert Refund.objects.get().status == "paid"
    assert len(stripe.rows["refunds"]) == 1
    assert accounts(paid.organization) == {"wallet": 600, "payment_clearing": -600}


def test_stripe_down_and_back(stripe: Stripe, paid: TopUp, root: Client) -> None:
    stripe.fail("/v1/refunds", 500, 500, 500)
    ask(root, paid)
    assert credit_cents(paid.organization) == 600
    for _ in range(2):
        refunds.pay_waiting(Refund.objects.filter(status="taken"))
    assert Refund.objects.get().status == "paid"
    assert len(stripe.rows["refunds"]) == 1


def test_sent_back_by_the_bank_days_later(stripe: Stripe, paid: TopUp, root: Client) -> None:
    ask(root, paid)
    (sent,) = stripe.rows["refunds"].values()
    sent["status"], sent["failure_reason"] = "failed", "expired_or_canceled_card"
    for _ in range(2):
        send(stripe.event("refund.failed", sent))
    assert Refund.objects.get().status == "refused"
    assert credit_cents(paid.organization) == 1000
    assert accounts(paid.organization) == {"wallet": 1000, "payment_clearing": -1000}


def test_made_in_stripes_dashboard(stripe: Stripe, paid: TopUp) -> None:
    spend(paid, 700)
    made = stripe.put(
        "refunds", id="re_9", status="succeeded", amount=500, payment_intent=paid.stripe_intent, currency="usd"
    )
    for kind in ("charge.refunded", "refund.created", "refund.updated"):
        send(stripe.event(kind, made))
    assert credit_cents(paid.organization) == 500
    # The money has left; nothing is admitted until it is covered.
    assert Wallet.objects.get().spendable == -200 * NANO_PER_CENT
    ledger.post_usage()
    assert accounts(paid.organization) == {"wallet": -200, "payment_clearing": -500, "revenue": 700}


def test_made_in_stripes_dashboard_and_sent_back_by_the_bank(
    stripe: Stripe, browser: Client, buy: Any, settings: Any
) -> None:
    settings.TOPUP_FEE_FIXED_CENTS = 50
    top_up = buy(browser)
    stripe.pay(top_up.stripe_session)
    browser.get(f"/credits/top-ups/{top_up.pk}")
    top_up.refresh_from_db()
    made = stripe.put(
        "refunds", id="re_9", status="succeeded", amount=1050, payment_intent=top_up.stripe_intent, currency="usd"
    )
    send(stripe.event("charge.refunded", made))
    assert accounts(top_up.organization) == {}
    made["status"], made["failure_reason"] = "failed", "expired_or_canceled_card"
    for _ in range(2):
        assert send(stripe.event("refund.failed", made)).status_code == 200
    assert Refund.objects.get().status == "refused"
    assert accounts(top_up.organization) == {"wallet": 1000, "fees": 50, "payment_clearing": -1050}


def test_sent_back_by_the_bank_while_an_older_event_waits_for_the_payment(
    stripe: Stripe, paid: TopUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stripe.put(
        "refunds", id="re_9", status="pending", amount=500, payment_intent=paid.stripe_intent, currency="usd"
    )

    def send_back() -> None:
        made["status"] = "failed"
        send(stripe.event("refund.failed", made))

    first_at_the_lock(monkeypatch, send_back)
    send(stripe.event("refund.created", made))
    assert credit_cents(paid.organization) == 1000
    assert not Refund.objects.exists()


def test_more_than_the_payment_made_in_stripes_dashboard(stripe: Stripe, paid: TopUp) -> None:
    """It takes what the payment gave, and nothing of other payments."""
    ledger.grant(paid.organization, amount=7, reason="x")
    made = stripe.put(
        "refunds", id="re_9", status="succeeded", amount=10**15, payment_intent=paid.stripe_intent, currency="usd"
    )
    send(stripe.event("charge.refunded", made))
    assert Wallet.objects.get().spendable == 7


def test_it_needs_the_permission(stripe: Stripe, paid: TopUp) -> None:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_topup", "change_topup"]))
    client = Client()
    client.force_login(staff)
    assert client.get(f"/admin/billing/topup/{paid.pk}/refund/").status_code == 403
    assert client.post(f"/admin/billing/topup/{paid.pk}/refund/", {"amount": "1"}).status_code == 403
    page = client.get(f"/admin/billing/topup/{paid.pk}/change/")
    assert (page.status_code, b"/refund/" in page.content) == (200, False)


def test_an_unpaid_one_is_not_refunded(stripe: Stripe, browser: Client, buy: Any, root: Client) -> None:
    top_up = buy(browser)
    shown = ask(root, top_up).content.decode()
    assert "can be refunded" in shown
    assert not Refund.objects.exists()


@pytest.mark.parametrize("model", ["topup", "refund", "dispute", "stripeevent", "promocode", "billingprofile"])
def test_the_admin_lists_them(stripe: Stripe, paid: TopUp, root: Client, model: str) -> None:
    ask(root, paid)
    send(
        stripe.event("charge.dispute.created", stripe.dispute(stripe.rows["payment_intents"][paid.stripe_intent or ""]))
    )
    page = root.get(f"/admin/billing/{model}/?q=a")
    assert page.status_code == 200
    for row in root.get(f"/admin/billing/{model}/").context["cl"].result_list:
        assert root.get(f"/admin/billing/{model}/{row.pk}/change/").status_code == 200
