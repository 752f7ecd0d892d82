"""The double-entry ledger: every change of credit, with the entries that say why, in one transaction.

Amounts are nano-USD. A reference is posted once: IntegrityError for the second time, and nothing moves.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Required, TypedDict, Unpack
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Sum

from accounts.models import Organization, User
from billing.errors import AlreadyEnded, NotRefundable
from billing.models import LedgerEntry, LedgerTransaction, Promotion, Wallet

Account = LedgerEntry.Account
Kind = LedgerTransaction.Kind
# What the accounts of a transaction other than the wallet's own are moved by.
Amounts = Mapping[LedgerEntry.Account, int]
# Wallets that one call of till_post() takes at most (billing/sql/posting.sql).
POSTED_AT_ONCE = 200


class Movement(TypedDict, total=False):
    reason: Required[str]
    created_by: User | None
    reference: str | None


class Payment(TypedDict, total=False):
    """Of what moves with a payment. The reference is ours for the payment, refund or dispute."""

    reference: Required[str]
    reason: str
    created_by: User | None


def grant(organization: Organization, *, amount: int, **why: Unpack[Movement]) -> LedgerTransaction:
    """Gives credit (more than 0) without a payment."""
    _must_be_positive("a grant", amount)
    return _move(organization, Kind.GRANT, amount, {Account.GRANTS: -amount}, why)


def correct(organization: Organization, *, amount: int, **why: Unpack[Movement]) -> LedgerTransaction:
    """Puts credit right by an operator's word (not 0), even below what is spent."""
    if amount == 0:
        raise ValueError("a correction must not be 0")
    return _move(organization, Kind.CORRECTION, amount, {Account.CORRECTIONS: -amount}, why)


def top_up(organization: Organization, *, amount: int, fee: int = 0, **why: Unpack[Payment]) -> LedgerTransaction:
    """Credit for a payment of `amount` + `fee`."""
    _must_be_positive("a top-up", amount, fee)
    paid = {Account.FEES: fee, Account.PAYMENT_CLEARING: -amount - fee}
    return _move(organization, Kind.TOP_UP, amount, paid, _movement(why))


def refund(organization: Organization, *, amount: int, fee: int = 0, **why: Unpack[Payment]) -> LedgerTransaction:
    """Takes credit, and the fee paid with it, to be paid back: before the payment provider is asked.

    Raises NotRefundable when less was paid for or is free. End it with `refund_paid` or `refund_refused`.
    """
    _must_be_positive("a refund", amount, fee)
    with transaction.atomic():
        left = refundable(_locked(organization))
        if amount > left:
            raise NotRefundable(amount, left)
        under_way = {Account.FEES: -fee, Account.REFUNDS: amount + fee}
        return _move(organization, Kind.REFUND, -amount, under_way, _movement(why))


def refund_paid(reference: str, *, reason: str = "") -> LedgerTransaction:
    """The payment provider has paid the refund of that reference back. Raises AlreadyEnded if it was refused."""
    return _paid_out(reference, Kind.REFUND_PAID, Account.REFUNDS, reason)


def refund_refused(reference: str, *, reason: str = "") -> LedgerTransaction:
    """The payment provider refused the refund of that reference, or it failed after it was paid: credit again.

    Also one that was made there (`refunded`).
    """
    return _credit_again(reference, Kind.REFUND_REFUSED, Account.REFUNDS, reason)


def refunded(organization: Organization, *, amount: int, fee: int = 0, **why: Unpack[Payment]) -> LedgerTransaction:
    """The payment provider was told there to pay back: its credit goes, even below what is spent."""
    _must_be_positive("a refund", amount, fee)
    paid = {Account.FEES: -fee, Account.PAYMENT_CLEARING: amount + fee}
    return _move(organization, Kind.REFUND_PAID, -amount, paid, _movement(why))


def dispute(organization: Organization, *, amount: int, fee: int = 0, **why: Unpack[Payment]) -> LedgerTransaction:
    """Takes back the credit of a disputed payment at once, even below what is spent; and the fee paid with it."""
    _must_be_positive("a dispute", amount, fee)
    disputed = {Account.FEES: -fee, Account.DISPUTES: amount + fee}
    return _move(organization, Kind.DISPUTE, -amount, disputed, _movement(why))


def dispute_won(reference: str, *, reason: str = "") -> LedgerTransaction:
    """The dispute of that reference was decided for us: credit again."""
    return _credit_again(reference, Kind.DISPUTE_WON, Account.DISPUTES, reason)


def dispute_lost(reference: str, *, reason: str = "") -> LedgerTransaction:
    """The dispute of that reference was decided against us: gone for good. Raises AlreadyEnded if it was won."""
    return _paid_out(reference, Kind.DISPUTE_LOST, Account.DISPUTES, reason)


def promotion(
    organization: Organization, *, amount: int, expires_at: datetime | None, **why: Unpack[Movement]
) -> LedgerTransaction:
    """Gives credit that is spent before other credit and expires; never when `expires_at` is None."""
    _must_be_positive("a promotion", amount)
    with transaction.atomic():
        # What was used before must not be paid by it.
        _locked(organization)
        posted = _move(
            organization, Kind.PROMOTION, amount, {Account.GRANTS: -amount}, why, own_account=Account.PROMOTIONAL
        )
        Promotion.objects.create(
            organization=organization, given_by=posted, amount=amount, remaining=amount, expires_at=expires_at
        )
    return posted


def expire_promotions() -> int:
    """Takes back what is left of promotions whose time is over. Returns how many transactions it made.

    As no money leaves that is held for open requests, what they do not use is left to the next run.
    """
    organizations = Organization.objects.filter(pk__in=Promotion.objects.due().values("organization")).order_by("pk")
    return sum(_expire(organization) for organization in organizations)


def refundable(wallet: Wallet) -> int:
    """What is neither held nor spent, without promotional credit. The wallet's usage must be posted."""
    promotions = Promotion.objects.filter(organization=wallet.organization_id)
    promotional: int = promotions.aggregate(left=Sum("remaining", default=0))["left"]
    return max(min(wallet.spendable, wallet.credit - wallet.spent - promotional), 0)


def is_posted(reference: str) -> bool:
    return LedgerTransaction.objects.filter(reference=reference).exists()


def post(posted: LedgerTransaction, amounts: Amounts) -> None:
    """The entries of a transaction; the database refuses them if they do not sum to zero."""
    LedgerEntry.objects.bulk_create(
        LedgerEntry(transaction=posted, organization_id=posted.organization_id, account=account, amount=amount)
        for account, amount in amounts.items()
        if amount
    )


def post_usage() -> int:
    """Moves what settlements have added to wallets into the ledger. Returns how many wallets."""
    total = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT till_post()")
            (posted,) = cursor.fetchone() or (0,)
            total += posted
            # Not until nothing is left: settlements that go on would keep it from ending.
            if posted < POSTED_AT_ONCE:
                return total


def _move(
    organization: Organization,
    kind: LedgerTransaction.Kind,
    amount: int,
    others: Amounts,
    why: Movement,
    *,
    own_account: LedgerEntry.Account = Account.WALLET,
) -> LedgerTransaction:
    with transaction.atomic():
        Wallet.objects.for_organization(organization)
        # The row lock of this UPDATE orders it with the till's calls; credit and entry become true together.
        Wallet.objects.filter(organization=organization).update(credit=F("credit") + amount, version=F("version") + 1)
        posted = LedgerTransaction.objects.create(kind=kind, organization=organization, **why)
        post(posted, {own_account: amount, **others})
    return posted


def _paid_out(
    reference: str, kind: LedgerTransaction.Kind, under_way: LedgerEntry.Account, reason: str
) -> LedgerTransaction:
    """What a refund or dispute took leaves the payment provider."""
    with transaction.atomic():
        began, taken = _begun(reference, under_way)
        if is_posted(f"{reference}:credited"):
            raise AlreadyEnded(reference)
        organization = began.organization
        posted = LedgerTransaction.objects.create(
            kind=kind, organization=organization, reference=f"{reference}:paid", reason=reason
        )
        post(posted, {under_way: -taken[under_way], Account.PAYMENT_CLEARING: taken[under_way]})
    return posted


def _credit_again(
    reference: str, kind: LedgerTransaction.Kind, under_way: LedgerEntry.Account, reason: str
) -> LedgerTransaction:
    """What a refund or dispute took comes back, from the payment provider if it had left there already."""
    with transaction.atomic():
        began, taken = _begun(reference, under_way)
        # Nothing of what was refunded at the payment provider was ever under way here.
        amount, pending = -taken.pop(Account.WALLET), taken.pop(under_way, 0)
        source = Account.PAYMENT_CLEARING if is_posted(f"{reference}:paid") else under_way
        back = {account: -moved for account, moved in taken.items()}
        back[source] = back.get(source, 0) - pending
        why: Movement = {"reason": reason, "reference": f"{reference}:credited"}
        return _move(began.organization, kind, amount, back, why)


def _begun(reference: str, under_way: LedgerEntry.Account) -> tuple[LedgerTransaction, dict[LedgerEntry.Account, int]]:
    """The refund or dispute and its entries; nobody else ends it meanwhile. Raises DoesNotExist."""
    kinds = [Kind.REFUND, Kind.REFUND_PAID] if under_way == Account.REFUNDS else [Kind.DISPUTE]
    began = LedgerTransaction.objects.select_related("organization").get(reference=reference, kind__in=kinds)
    _locked(began.organization)
    return began, {Account(entry.account): entry.amount for entry in began.entries.all()}


def _expire(organization: Organization) -> int:
    with transaction.atomic():
        wallet = _locked(organization)
        free = None if wallet.billing == Wallet.Billing.UNLIMITED else max(wallet.spendable, 0)
        due = Promotion.objects.due().filter(organization=organization)
        made = 0
        for found in due.order_by("expires_at", "id"):
            taken = found.remaining if free is None else min(found.remaining, free)
            if taken <= 0:
                break
            free = None if free is None else free - taken
            found.remaining -= taken
            found.save(update_fields=["remaining"])
            why: Movement = {"reason": f"Promotional credit of transaction {found.given_by_id} expired"}
            _move(organization, Kind.EXPIRY, -taken, {Account.GRANTS: taken}, why, own_account=Account.PROMOTIONAL)
            made += 1
    return made


def _locked(organization: Organization) -> Wallet:
    """The wallet, its usage posted, and nobody else at it until the transaction ends."""
    wallet = Wallet.objects.locked(organization)
    _post_wallet(wallet.organization_id)
    return wallet


def _post_wallet(organization_id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT till_post_wallet(%s)", [organization_id])


def _movement(why: Payment) -> Movement:
    return {"reason": "", **why}


def _must_be_positive(what: str, amount: int, fee: int = 0) -> None:
    if amount <= 0:
        raise ValueError(f"{what} must be more than 0")
    if fee < 0:
        raise ValueError("a fee must not be below 0")
