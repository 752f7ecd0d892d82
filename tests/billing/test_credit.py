"""Credit in and out: payments, refunds, disputes and promotions, each with its entries and its effect on the wallet."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import Organization
from billing import ledger, tasks
from billing.errors import AlreadyEnded, NotRefundable
from billing.models import LedgerEntry, LedgerTransaction, Promotion, Wallet

pytestmark = pytest.mark.django_db
TOMORROW = timedelta(days=1)


@pytest.fixture
def organization(db: None) -> Organization:
    return Organization.objects.create(name="test")


def wallet(organization: Organization) -> Wallet:
    return Wallet.objects.get(organization=organization)


def entries(posted: LedgerTransaction) -> dict[str, int]:
    return dict(posted.entries.values_list("account", "amount"))


def balances(organization: Organization) -> dict[str, int]:
    """Of the accounts that are not at zero. The deferred constraint is asked, too."""
    connection.check_constraints()
    found: dict[str, int] = {}
    for account, amount in LedgerEntry.objects.filter(organization=organization).values_list("account", "amount"):
        found[account] = found.get(account, 0) + amount
    return {account: amount for account, amount in found.items() if amount}


def spend(organization: Organization, amount: int) -> None:
    """As settlements leave it; not posted."""
    row = wallet(organization)
    row.spent += amount
    row.unposted_charge += amount
    row.save()


def hold(organization: Organization, amount: int) -> None:
    Wallet.objects.filter(organization=organization).update(held=amount)


def promise(organization: Organization, amount: int, *, days: float = 1) -> LedgerTransaction:
    expires_at = timezone.now() + timedelta(days=days)
    return ledger.promotion(organization, amount=amount, expires_at=expires_at, reason="", reference=str(uuid4()))


def end_of(posted: LedgerTransaction, at: datetime) -> None:
    Promotion.objects.filter(given_by=posted).update(expires_at=at)


def left(organization: Organization) -> list[int]:
    return list(Promotion.objects.filter(organization=organization).order_by("id").values_list("remaining", flat=True))


# Payments


def test_a_top_up_is_credit_and_a_fee_for_what_was_paid(organization: Organization) -> None:
    posted = ledger.top_up(organization, amount=1000, fee=80, reference="payment-1")
    assert (posted.kind, posted.reference) == ("top_up", "payment-1")
    assert entries(posted) == {"wallet": 1000, "fees": 80, "payment_clearing": -1080}
    assert (wallet(organization).credit, wallet(organization).version) == (1000, 1)


def test_a_payment_is_credited_once(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, reference="payment-1")
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.top_up(organization, amount=1000, reference="payment-1")
    assert wallet(organization).credit == 1000


@pytest.mark.parametrize(("amount", "fee"), [(0, 0), (-1, 0), (1, -1)])
def test_payments_refunds_and_disputes_are_of_something(organization: Organization, amount: int, fee: int) -> None:
    for verb in (ledger.top_up, ledger.refund, ledger.dispute):
        with pytest.raises(ValueError, match="must"):
            verb(organization, amount=amount, fee=fee, reference="x")
    assert LedgerTransaction.objects.count() == 0


# Refunds


def test_a_refund_is_taken_before_it_is_paid(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, fee=80, reference="payment-1")
    taken = ledger.refund(organization, amount=1000, fee=80, reference="refund-1")
    assert entries(taken) == {"wallet": -1000, "fees": -80, "refunds": 1080}
    assert (wallet(organization).spendable, wallet(organization).version) == (0, 2)
    assert entries(ledger.refund_paid("refund-1")) == {"refunds": -1080, "payment_clearing": 1080}
    assert balances(organization) == {}


@pytest.mark.parametrize("is_paid_first", [False, True])
def test_a_refund_that_is_refused_is_credit_again(organization: Organization, is_paid_first: bool) -> None:
    ledger.top_up(organization, amount=1000, fee=80, reference="payment-1")
    before = balances(organization)
    ledger.refund(organization, amount=700, fee=80, reference="refund-1")
    if is_paid_first:
        ledger.refund_paid("refund-1")
    assert ledger.refund_refused("refund-1").kind == "refund_refused"
    assert balances(organization) == before
    assert wallet(organization).credit == 1000


def test_a_refund_ends_once(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, reference="payment-1")
    ledger.refund(organization, amount=700, reference="refund-1")
    ledger.refund_refused("refund-1")
    with pytest.raises(AlreadyEnded):
        ledger.refund_paid("refund-1")
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.refund_refused("refund-1")
    ledger.refund(organization, amount=700, reference="refund-2")
    ledger.refund_paid("refund-2")
    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.refund_paid("refund-2")
    assert wallet(organization).credit == 300


@pytest.mark.parametrize("end", [ledger.refund_paid, ledger.refund_refused, ledger.dispute_won, ledger.dispute_lost])
def test_only_what_began_can_end(organization: Organization, end: object) -> None:
    ledger.top_up(organization, amount=1000, reference="payment-1")
    for reference in ("payment-1", "refund-1"):
        with pytest.raises(LedgerTransaction.DoesNotExist):
            end(reference)  # type: ignore[operator]
    assert wallet(organization).credit == 1000


def test_what_is_spent_or_held_is_not_refunded(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, reference="payment-1")
    spend(organization, 300)
    hold(organization, 200)
    with pytest.raises(NotRefundable) as refusal:
        ledger.refund(organization, amount=501, reference="refund-1")
    assert refusal.value.refundable == 500
    assert wallet(organization).credit == 1000
    ledger.refund(organization, amount=500, reference="refund-1")
    assert wallet(organization).spendable == 0


def test_promotional_credit_is_not_refunded(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, reference="payment-1")
    promise(organization, 500)
    spend(organization, 600)
    with pytest.raises(NotRefundable) as refusal:
        ledger.refund(organization, amount=901, reference="refund-1")
    assert refusal.value.refundable == 900
    ledger.refund(organization, amount=900, reference="refund-1")
    assert balances(organization)["revenue"] == 600
    assert (left(organization), wallet(organization).spendable) == ([0], 0)


# Disputes


def test_a_dispute_takes_credit_at_once_even_what_is_spent(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, fee=80, reference="payment-1")
    spend(organization, 400)
    taken = ledger.dispute(organization, amount=1000, fee=80, reference="dispute-1")
    assert entries(taken) == {"wallet": -1000, "fees": -80, "disputes": 1080}
    assert (wallet(organization).credit, wallet(organization).spendable) == (0, -400)


def test_a_dispute_that_is_won_is_credit_again(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, fee=80, reference="payment-1")
    before = balances(organization)
    ledger.dispute(organization, amount=1000, fee=80, reference="dispute-1")
    ledger.dispute_won("dispute-1")
    assert (balances(organization), wallet(organization).credit) == (before, 1000)
    with pytest.raises(AlreadyEnded):
        ledger.dispute_lost("dispute-1")


def test_a_dispute_that_is_lost_is_gone(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, fee=80, reference="payment-1")
    ledger.dispute(organization, amount=1000, fee=80, reference="dispute-1")
    assert entries(ledger.dispute_lost("dispute-1")) == {"disputes": -1080, "payment_clearing": 1080}
    assert balances(organization) == {}


# Promotions


def test_a_promotion_is_credit_of_an_account_of_its_own(organization: Organization) -> None:
    posted = promise(organization, 500)
    assert (posted.kind, entries(posted)) == ("promotion", {"promotional": 500, "grants": -500})
    assert (wallet(organization).credit, left(organization)) == (500, [500])


def test_promotional_credit_is_spent_first_and_the_first_to_expire_first(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, reference="payment-1")
    promise(organization, 100, days=3)
    promise(organization, 100, days=1)
    ledger.promotion(organization, amount=100, expires_at=None, reason="")
    for amount, expected in ((40, [100, 60, 100]), (110, [50, 0, 100]), (120, [0, 0, 30]), (90, [0, 0, 0])):
        spend(organization, amount)
        tasks.post()
        assert left(organization) == expected
    assert balances(organization)["wallet"] == 1000 - 60
    assert "promotional" not in balances(organization)
    assert wallet(organization).spendable == 940


def test_a_promotion_pays_for_nothing_that_was_used_before(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, reference="payment-1")
    spend(organization, 600)
    promise(organization, 500)
    tasks.post()
    assert left(organization) == [500]
    assert balances(organization)["wallet"] == 400


def test_what_is_left_expires(organization: Organization) -> None:
    ledger.top_up(organization, amount=1000, reference="payment-1")
    posted = promise(organization, 500)
    promise(organization, 50)
    spend(organization, 200)
    end_of(posted, timezone.now() - timedelta(seconds=1))
    tasks.expire()
    assert left(organization) == [0, 50]
    expiry = LedgerTransaction.objects.get(kind="expiry")
    assert entries(expiry) == {"promotional": -300, "grants": 300}
    assert wallet(organization).spendable == 1050
    tasks.expire()
    assert LedgerTransaction.objects.filter(kind="expiry").count() == 1


def test_what_is_held_expires_when_it_is_free(organization: Organization) -> None:
    posted = promise(organization, 500)
    end_of(posted, timezone.now() - timedelta(seconds=1))
    hold(organization, 300)
    tasks.expire()
    assert (left(organization), wallet(organization).spendable) == ([300], 0)
    hold(organization, 0)
    spend(organization, 100)
    tasks.expire()
    assert (left(organization), wallet(organization).spendable) == ([0], 0)
    assert balances(organization)["grants"] == -100


def test_expiry_takes_nothing_below_zero(organization: Organization) -> None:
    posted = promise(organization, 500)
    ledger.correct(organization, amount=-600, reason="")
    end_of(posted, timezone.now() - timedelta(seconds=1))
    tasks.expire()
    assert wallet(organization).credit == -100


def test_promotional_credit_of_who_is_metered_only_expires_whatever_they_owe(organization: Organization) -> None:
    posted = promise(organization, 500)
    spend(organization, 200)
    ledger.correct(organization, amount=-9000, reason="")
    Wallet.objects.update(billing=Wallet.Billing.UNLIMITED)
    end_of(posted, timezone.now() - timedelta(seconds=1))
    tasks.expire()
    assert (left(organization), wallet(organization).credit) == ([0], -8800)


def test_more_than_was_given_cannot_remain(organization: Organization) -> None:
    promise(organization, 500)
    for remaining in (501, -1):
        with pytest.raises(IntegrityError), transaction.atomic():
            Promotion.objects.update(remaining=remaining)
