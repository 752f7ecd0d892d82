"""Automatic top-ups: below the threshold, with the card that is kept, never two at once, less often when it fails."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import organizations
from accounts.models import Membership, Organization, User
from billing import tasks
from billing.models import Wallet
from billing.payments import automatic, client
from billing.payments.automatic import LOCK_CLASS
from billing.payments.errors import Away
from billing.payments.models import NANO_PER_CENT, BillingProfile, TopUp
from billing.payments.profiles import remember_card
from tests.payments.conftest import browser_of, credit_cents, send
from tests.stripe_server import Stripe

pytestmark = [pytest.mark.thorough, pytest.mark.usefixtures("book_agrees")]
FIELDS = {"is_automatic": "on", "threshold": "5.00", "amount": "25.00"}


@pytest.fixture
def profile(stripe: Stripe, browser: Client, organization: Organization) -> BillingProfile:
    """A card is kept, and below 5 USD 25 are bought."""
    leave_card(stripe, browser)
    assert browser.post("/credits/automatic", FIELDS).status_code == 302
    return BillingProfile.objects.get(organization=organization)


def leave_card(stripe: Stripe, browser: Client, method: str = "pm_card") -> None:
    address = browser.post("/credits/card").context["address"]
    session = address.rpartition("/")[2]
    stripe.leave_card(session, method)
    browser.get(f"/credits/card/{session}")


def use(stripe: Stripe, profile: BillingProfile, method: str) -> None:
    stripe.rows["payment_methods"][method]["customer"] = profile.stripe_customer
    assert remember_card(profile.organization, method)


def later(profile: BillingProfile) -> None:
    BillingProfile.objects.filter(pk=profile.pk, retry_at__isnull=False).update(retry_at=timezone.now())


def test_below_the_threshold_it_buys_once(stripe: Stripe, profile: BillingProfile, organization: Organization) -> None:
    """A wallet that never had anything has less, too."""
    automatic.run()
    automatic.run()
    assert credit_cents(organization) == 2500
    top_up = TopUp.objects.get()
    intent = stripe.rows["payment_intents"][top_up.stripe_intent or ""]
    assert (intent["amount"], intent["customer"], intent["payment_method"]) == (
        2500, profile.stripe_customer, "pm_card",
    )  # fmt: skip
    # Down to the threshold, and not below it; what is held does not count.
    Wallet.objects.filter(organization=organization).update(held=2400 * NANO_PER_CENT)
    assert not automatic.due().exists()
    Wallet.objects.filter(organization=organization).update(held=0)


@pytest.mark.parametrize(("left", "count"), [(499, 1), (500, 0), (900, 0)])
def test_the_threshold(stripe: Stripe, profile: BillingProfile, left: int, count: int, paid: TopUp) -> None:
    Wallet.objects.update(spent=(1000 - left) * NANO_PER_CENT)
    assert automatic.due().count() == count
    Wallet.objects.update(spent=0)


def test_switched_off_or_without_a_card_it_buys_nothing(
    stripe: Stripe, browser: Client, profile: BillingProfile
) -> None:
    Wallet.objects.for_organization(profile.organization)
    browser.post("/credits/automatic", {**FIELDS, "is_automatic": ""})
    automatic.run()
    browser.post("/credits/automatic", FIELDS)
    browser.post("/credits/card/remove")
    automatic.run()
    profile.refresh_from_db()
    assert (profile.is_automatic, profile.payment_method, profile.card_last4) == (False, "", "")
    assert stripe.rows["payment_methods"]["pm_card"]["customer"] is None
    response = browser.post("/credits/automatic", FIELDS)
    assert "Add a card first." in response.content.decode()
    assert not TopUp.objects.exists()


def test_a_card_of_another_customer_is_not_kept(
    stripe: Stripe, browser: Client, profile: BillingProfile, charlie: User
) -> None:
    """Charlie comes back with the session on which Alice left a new card: it stays Alice's."""
    session = browser.post("/credits/card").context["address"].rpartition("/")[2]
    stripe.leave_card(session)
    browser_of(charlie).get(f"/credits/card/{session}")
    assert (
        not BillingProfile.objects.filter(organization=charlie.personal_organization)
        .exclude(payment_method="")
        .exists()
    )
    stripe.rows["payment_methods"]["pm_declined"]["customer"] = "cus_somebody"
    assert not remember_card(profile.organization, "pm_declined")


def test_the_webhook_keeps_the_card_too(stripe: Stripe, browser: Client, organization: Organization) -> None:
    session = browser.post("/credits/card").context["address"].rpartition("/")[2]
    send(stripe.event("checkout.session.completed", stripe.rows["checkout/sessions"][session]))
    assert not BillingProfile.objects.get(organization=organization).payment_method
    stripe.leave_card(session)
    send(stripe.event("checkout.session.completed", stripe.rows["checkout/sessions"][session]))
    assert BillingProfile.objects.get(organization=organization).card == "Visa ···· 4242"


def test_it_waits_longer_after_each_failure_and_gives_up(
    stripe: Stripe, profile: BillingProfile, organization: Organization, django_capture_on_commit_callbacks: Any
) -> None:
    bob = User.objects.create_user("bob@example.com")
    Membership.objects.create(organization=organization, user=bob, role=Membership.Role.BILLING)
    charlie = User.objects.create_user("charlie@example.com")
    Membership.objects.create(organization=organization, user=charlie, role=Membership.Role.DEVELOPER)
    Wallet.objects.for_organization(organization)
    use(stripe, profile, "pm_declined")
    waits = []
    for _ in range(4):
        with django_capture_on_commit_callbacks(execute=True):
            automatic.run()
            automatic.run()
        profile.refresh_from_db()
        waits.append(profile.retry_at and round((profile.retry_at - timezone.now()) / timedelta(hours=1)))
        later(profile)
    assert waits == [1, 6, 24, None]
    assert profile.is_automatic is False
    automatic.run()
    assert list(TopUp.objects.values_list("status", "error").distinct()) == [("failed", "Your card was declined.")]
    assert TopUp.objects.count() == 4
    assert credit_cents(organization) == 0
    assert {tuple(message.to) for message in mail.outbox} == {("alice@example.com",), ("bob@example.com",)}
    assert len(mail.outbox) == 8
    assert "Your card was declined." in mail.outbox[0].body
    assert "switched off now" in mail.outbox[-1].body


def test_a_success_or_a_new_card_forgets_failures(stripe: Stripe, profile: BillingProfile) -> None:
    Wallet.objects.for_organization(profile.organization)
    use(stripe, profile, "pm_declined")
    automatic.run()
    use(stripe, profile, "pm_card")
    automatic.run()
    profile.refresh_from_db()
    assert (profile.failures, profile.retry_at) == (0, None)
    assert credit_cents(profile.organization) == 2500


def test_a_bank_that_asks_the_owner_is_a_failure(stripe: Stripe, profile: BillingProfile) -> None:
    Wallet.objects.for_organization(profile.organization)
    use(stripe, profile, "pm_asks")
    automatic.run()
    top_up = TopUp.objects.get()
    assert (top_up.status, "confirm each payment" in top_up.error) == ("failed", True)
    assert stripe.rows["payment_intents"][top_up.stripe_intent or ""]["status"] == "canceled"


def test_one_that_could_not_be_given_up_at_once_is_later(
    stripe: Stripe, profile: BillingProfile, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    """The bank asks the owner, and Stripe does not answer when the intent is cancelled, or the worker dies before."""
    Wallet.objects.for_organization(profile.organization)
    use(stripe, profile, "pm_asks")
    with monkeypatch.context() as patched, django_capture_on_commit_callbacks(execute=True):
        patched.setattr(client, "cancel_intent", away)
        automatic.run()
    top_up = TopUp.objects.get()
    assert (top_up.status, len(mail.outbox)) == ("pending", 0)
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            automatic.run()
    top_up = TopUp.objects.get()
    assert (top_up.status, "confirm each payment" in top_up.error) == ("failed", True)
    assert stripe.rows["payment_intents"][top_up.stripe_intent or ""]["status"] == "canceled"
    assert len(mail.outbox) == 1


def away(*args: Any, **more: Any) -> NoReturn:
    raise Away("no answer")


@pytest.mark.parametrize("is_suspended", [False, True])
def test_switched_off_before_stripe_heard_of_it(
    stripe: Stripe,
    profile: BillingProfile,
    is_suspended: bool,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    Wallet.objects.for_organization(profile.organization)
    with monkeypatch.context() as patched:
        patched.setattr(client, "create_intent", away)
        automatic.run()
    if is_suspended:
        organizations.suspend(profile.organization, "test")
    else:
        BillingProfile.objects.update(is_automatic=False)
    with django_capture_on_commit_callbacks(execute=True):
        automatic.run()
    top_up = TopUp.objects.get()
    assert (top_up.status, stripe.count("/v1/payment_intents"), len(mail.outbox)) == ("failed", 0, 0)
    profile.refresh_from_db()
    assert (profile.failures, profile.retry_at) == (0, None)
    # The request was on its way all the same.
    intent = stripe.put(
        "payment_intents", id="pi_late", status="succeeded", amount=top_up.total_cents, currency="usd",
        customer=profile.stripe_customer, metadata={"top_up": str(top_up.pk)},
    )  # fmt: skip
    send(stripe.event("payment_intent.succeeded", intent))
    assert credit_cents(profile.organization) == 2500


def test_switched_off_after_stripe_charged_it_is_credited(stripe: Stripe, profile: BillingProfile) -> None:
    Wallet.objects.for_organization(profile.organization)
    stripe.fail("/v1/payment_intents", 0, 0, 0)
    automatic.run()
    BillingProfile.objects.update(is_automatic=False)
    automatic.run()
    assert credit_cents(profile.organization) == 2500


def test_answers_that_are_lost_charge_once(stripe: Stripe, profile: BillingProfile) -> None:
    """Stripe has charged, and each answer was lost; a day later it has forgotten the key as well."""
    Wallet.objects.for_organization(profile.organization)
    stripe.fail("/v1/payment_intents", 0, 0, 0)
    automatic.run()
    assert TopUp.objects.get().status == "pending"
    assert credit_cents(profile.organization) == 0
    stripe.answers_by_key.clear()
    automatic.run()
    assert credit_cents(profile.organization) == 2500
    assert len(stripe.rows["payment_intents"]) == 1


def test_the_event_may_come_before_the_answer(stripe: Stripe, profile: BillingProfile) -> None:
    Wallet.objects.for_organization(profile.organization)
    stripe.fail("/v1/payment_intents", 0, 0, 0)
    automatic.run()
    (intent,) = stripe.rows["payment_intents"].values()
    for _ in range(2):
        send(stripe.event("payment_intent.succeeded", intent))
    automatic.run()
    assert credit_cents(profile.organization) == 2500
    assert TopUp.objects.get().stripe_intent == intent["id"]


@pytest.mark.parametrize(
    "change", [{"amount": 100}, {"currency": "jpy"}, {"customer": "cus_x"}, {"metadata": {}}], ids=str
)
def test_a_payment_that_is_not_what_was_asked_for(
    stripe: Stripe, profile: BillingProfile, change: dict[str, Any]
) -> None:
    Wallet.objects.for_organization(profile.organization)
    stripe.fail("/v1/payment_intents", 0, 0, 0)
    automatic.run()
    (intent,) = stripe.rows["payment_intents"].values()
    TopUp.objects.update(stripe_intent=intent["id"])
    intent.update(change)
    send(stripe.event("payment_intent.succeeded", intent))
    automatic.run()
    assert credit_cents(profile.organization) == 0
    assert len(stripe.rows["payment_intents"]) == 1


def test_one_that_stripe_does_not_know_holds_up_nobody(
    stripe: Stripe, profile: BillingProfile, organization: Organization, charlie: User
) -> None:
    lost = TopUp.objects.create(
        organization=organization, source="automatic", credit_cents=2500, stripe_intent="pi_nowhere"
    )
    other = browser_of(charlie)
    leave_card(stripe, other)
    other.post("/credits/automatic", FIELDS)
    automatic.run()
    lost.refresh_from_db()
    assert (lost.status, "No such" in lost.error) == ("failed", True)
    assert credit_cents(charlie.personal_organization) == 2500


def test_one_pending_at_a_time(stripe: Stripe, profile: BillingProfile, organization: Organization) -> None:
    def add() -> None:
        TopUp.objects.create(organization=organization, source="automatic", credit_cents=500)

    add()
    with pytest.raises(IntegrityError), transaction.atomic():
        add()


def test_another_process_at_work_is_left_alone(
    stripe: Stripe, profile: BillingProfile, organization: Organization
) -> None:
    Wallet.objects.for_organization(organization)
    key = int.from_bytes(organization.pk.bytes[-4:], signed=True)

    def locked(verb: str) -> None:
        """In a connection of another thread, as another worker has it."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_{verb}_lock(%s, %s)", [LOCK_CLASS, key])

    with ThreadPoolExecutor(1) as other:
        other.submit(locked, "advisory").result()
        automatic.run()
        assert stripe.count("/v1/payment_intents") == 0
        other.submit(connection_closed).result()
    automatic.run()
    assert credit_cents(organization) == 2500


def connection_closed() -> None:
    connection.close()


def test_the_task_does_it(stripe: Stripe, profile: BillingProfile, settings: Any) -> None:
    Wallet.objects.for_organization(profile.organization)
    tasks.payments()
    tasks.open_top_ups()
    assert credit_cents(profile.organization) == 2500
    settings.STRIPE_SECRET_KEY = ""
    asked = len(stripe.asked)
    Wallet.objects.update(credit=0)
    tasks.payments()
    assert len(stripe.asked) == asked
    Wallet.objects.update(credit=2500 * NANO_PER_CENT)


@pytest.mark.parametrize(
    "fields", [{"amount": "1"}, {"amount": "99999"}, {"threshold": "-1"}, {"threshold": ""}, {"amount": "x"}], ids=str
)
def test_wrong_settings_are_refused(browser: Client, profile: BillingProfile, fields: dict[str, str]) -> None:
    response = browser.post("/credits/automatic", {**FIELDS, **fields})
    assert response.context["automatic"].errors
    profile.refresh_from_db()
    assert (profile.threshold_cents, profile.amount_cents) == (500, 2500)
