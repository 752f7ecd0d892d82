"""What people take with them: receipts as PDF, transactions and usage as CSV."""

from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from accounts import access
from accounts.models import Membership
from billing import receipts
from billing.models import LedgerEntry, UsageDay
from billing.money import plain
from billing.payments.models import TopUp
from billing.sheets import MAX_ROWS, sheet
from gateway.pages.credits import entries, top_up_of
from gateway.pages.tenant import membership

Row = TypeVar("Row", bound=Model)


@login_required
@require_safe
def receipt(request: HttpRequest, id: UUID) -> HttpResponse:
    found = top_up_of(membership(request), id)
    if found.status != TopUp.Status.PAID:
        raise Http404
    response = HttpResponse(receipts.pdf(found), content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="receipt-{found.receipt_number}.pdf"'
    return response


@login_required
@require_safe
def transactions(request: HttpRequest) -> HttpResponse:
    """`from` and `to` are days, both included."""
    member = membership(request)
    first, last = period(request)
    found = entries(member).filter(transaction__created_at__gte=first, transaction__created_at__lt=last)
    rows = bounded(found)
    titles = ("time (UTC)", "transaction", "kind", "credit", "amount (USD)", "reason", "receipt")
    lines = (
        (
            f"{entry.transaction.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            entry.transaction_id,
            entry.transaction.kind,
            "promotional" if entry.account == LedgerEntry.Account.PROMOTIONAL else "paid",
            plain(entry.amount),
            entry.transaction.reason,
            getattr(getattr(entry.transaction, "top_up", None), "receipt_number", ""),
        )
        for entry in rows
    )
    return sheet("transactions", titles, lines)


@login_required
@require_safe
def usage(request: HttpRequest) -> HttpResponse:
    """Sums by day, key, model and provider, as far as they have been made; `from` and `to` are days, both included."""
    member = membership(request)
    first, last = period(request)
    found = access.in_organization(UsageDay.objects.all(), member.organization_id)
    rows = bounded(found.filter(day__gte=first.date(), day__lt=last.date()).order_by("-day", "model", "pk"))
    names = key_names(member)
    titles = (
        *("day (UTC)", "key", "model", "provider", "requests", "errors"),
        *("prompt tokens", "completion tokens", "reasoning tokens", "cached tokens", "charge (USD)"),
    )
    lines = (
        (
            *(row.day.isoformat(), names.get(row.api_key_id, ""), row.model, row.provider, row.requests, row.errors),
            *(row.prompt_tokens, row.completion_tokens, row.reasoning_tokens, row.cached_tokens, plain(row.charge)),
        )
        for row in rows
    )
    return sheet("usage", titles, lines)


def key_names(member: Membership) -> dict[UUID | None, str]:
    keys = access.all_keys_of(member.organization_id)
    return {pk: f"{name} ({label})" for pk, name, label in keys.values_list("pk", "name", "label")}


def period(request: HttpRequest) -> tuple[datetime, datetime]:
    """From the beginning of one day to the end of another; 404 for what is no day."""
    try:
        first = date.fromisoformat(request.GET.get("from") or "2000-01-01")
        last = date.fromisoformat(request.GET.get("to") or "2999-12-31")
    except ValueError:
        raise Http404 from None
    start, end = (datetime.combine(day, time(), UTC) for day in (first, min(last, date(2999, 12, 31))))
    return start, end + timedelta(days=1)


def bounded(rows: QuerySet[Row]) -> list[Row]:
    """A sheet that ends early without a word would be believed."""
    found = list(rows[: MAX_ROWS + 1])
    if len(found) > MAX_ROWS:
        raise Http404(f"There are more than {MAX_ROWS:,} rows: name a shorter period with from= and to=.")
    return found
