"""Wallets, holds and the ledger in the admin: to look at. Money moves by the till and billing/ledger.py alone."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest

from accounts import audit
from accounts.admin import OfOrganization, ReadOnly
from accounts.paging import PER_PAGE, Bounded, newest_of, organizations_named, people_named
from billing.admin.columns import usd_column
from billing.admin.generations import uuid_of
from billing.admin.sheets import Sheet, moment_cell, nano_cell
from billing.generations import public_id
from billing.models import Hold, LedgerEntry, LedgerTransaction, Wallet

# Words are looked for among so many: no index knows them.
SEARCHED = 10_000
BALANCE = tuple(usd_column(name) for name in ("credit", "spent", "held", "spendable_now"))
UNPOSTED = tuple(usd_column(f"unposted_{name}") for name in ("charge", "cost", "fee", "write_off"))
HELD = (
    usd_column("wallet_amount", label="of the wallet"),
    usd_column("list_amount", label="of the budgets"),
    usd_column("progress", label="used so far"),
    usd_column("cost", label="our cost so far"),
)


@admin.register(Wallet)
class WalletAdmin(OfOrganization, ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # generic to the type checker only
    """How an organization is billed can be changed; what it has moves by the ledger alone."""

    list_display = ("organization", *BALANCE, "billing", "version")
    list_filter = ("billing",)
    list_per_page = PER_PAGE
    search_fields = ("organization__name", "organization__memberships__user__email", "organization__id__exact")
    search_help_text = "Name, e-mail of a member, or id of the organization"
    readonly_fields = ("organization_link", *BALANCE, *UNPOSTED, "version")
    fields = ("organization_link", "billing", *BALANCE, *UNPOSTED, "version")

    def has_change_permission(self, request: HttpRequest, obj: Wallet | None = None) -> bool:
        return request.user.has_perm("billing.change_wallet")

    def save_model(self, request: HttpRequest, obj: Wallet, form: Any, change: bool) -> None:
        if form.changed_data:
            # No other column: the till writes them at the same moment.
            Wallet.objects.filter(pk=obj.pk).update(billing=obj.billing)
            audit.record(request, audit.Verb.UPDATE, obj, organization_id=obj.pk, details=audit.changes(form))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wallet]:
        spendable = F("credit") - F("spent") - F("held")
        return Wallet.objects.select_related("organization").annotate(spendable_now=spendable).order_by("-pk")


class LedgerEntryInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = LedgerEntry
    fields = readonly_fields = ("account", usd_column("amount"))
    verbose_name_plural = "Entries: their sum is 0"

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerEntry]:
        return LedgerEntry.objects.select_related("transaction").order_by("pk")


@admin.register(LedgerTransaction)
class LedgerTransactionAdmin(OfOrganization, Sheet, ReadOnly, Bounded, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "id",
        "created_at",
        "organization",
        "kind",
        usd_column("wallet"),
        "reason",
        "created_by",
        "reference",
    )
    list_filter = ("kind", "created_at")
    search_fields = ("organization__name", "organization__id__exact", "reason", "reference", "created_by__email")
    search_help_text = (
        "Name or id of the organization, e-mail of who posted it, reference; or part of a reason or reference, of the"
        f" newest {SEARCHED:,} that are no usage"
    )
    inlines = (LedgerEntryInline,)
    sortable_by = ()
    fields = readonly_fields = (
        *("id", "created_at", "organization_link", "kind"),
        *("reason", "created_by", "reference"),
    )
    sheet_columns = (
        ("id", lambda row: row.pk),
        ("time (UTC)", moment_cell("created_at")),
        ("organization", lambda row: row.organization.name),
        ("organization id", lambda row: row.organization_id),
        ("kind", lambda row: row.kind),
        ("wallet (USD)", nano_cell("wallet")),
        ("reason", lambda row: row.reason),
        ("by", lambda row: str(row.created_by or "")),
        ("reference", lambda row: row.reference or ""),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        rows = LedgerTransaction.objects
        # Usage has no words, and is nearly all there is.
        by_hand = rows.exclude(kind=LedgerTransaction.Kind.USAGE)
        oldest = by_hand.order_by("-id").values_list("id", flat=True)[SEARCHED : SEARCHED + 1].first()
        words = by_hand.filter(Q(reason__icontains=term) | Q(reference__icontains=term), id__gt=oldest or 0)
        of_people = by_hand.filter(created_by__in=people_named(term))
        exact = rows.filter(reference=term)
        return newest_of(queryset, rows.filter(organization_id__in=organizations(term)), words, exact, of_people), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerTransaction]:
        entries = LedgerEntry.objects.filter(transaction=OuterRef("pk"), account=LedgerEntry.Account.WALLET)
        return (
            LedgerTransaction.objects.select_related("organization", "created_by")
            .annotate(wallet=Subquery(entries.values("amount")[:1]))
            .order_by("-id")
        )


def organizations(term: str) -> list[UUID]:
    """By part of their name, or by id."""
    identity = uuid_of(term)
    return [*organizations_named(term), *([identity] if identity else [])]


@admin.register(Hold)
class HoldAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Holds that are open at this moment."""

    list_display = ("public_id", "organization", *HELD, "due_tick")
    search_fields = ("organization__name", "organization__id__exact", "generation__exact")
    search_help_text = "Name or id of the organization, or id (UUID) of the generation"
    list_select_related = ("organization",)
    ordering = ("-pk",)
    fields = readonly_fields = ("public_id", "generation", "organization", *HELD, "due_tick", "budgets", "record")

    @admin.display(description="generation")
    def public_id(self, hold: Hold) -> str:
        return public_id(hold.generation)
