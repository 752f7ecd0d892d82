"""Organizations in the admin, with their balance, members and keys."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join

from accounts import audit
from accounts.choosing import Choosing
from accounts.forms import MembershipFormSet
from accounts.light import Light
from accounts.models import ApiKey, Membership, Organization
from accounts.paging import PER_PAGE
from billing.admin import access, credit
from billing.admin.columns import usd_column
from billing.admin.keys import ApiKeyInline
from billing.admin.sheets import Sheet, moment_cell, nano_cell
from billing.forms import MemberForm, OrganizationForm

BALANCE = tuple(usd_column(name) for name in ("credit", "spent", "held", "spendable"))


class MembershipInline(Choosing, admin.TabularInline):  # type: ignore[type-arg]  # generic to the type checker only
    model = Membership
    form = MemberForm
    formset = MembershipFormSet
    fields = ("user", "role", "budget_nano", "budget_reset")
    autocomplete_fields = ("user",)
    extra = 0
    min_num = 1
    verbose_name_plural = "Members"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return Membership.objects.select_related("user", "organization").order_by("created_at")


@admin.register(Organization)
class OrganizationAdmin(Light, Sheet, admin.ModelAdmin):  # type: ignore[type-arg]
    """Organizations are not deleted: the ledger names them."""

    list_display = ("name", BALANCE[3], *BALANCE[:3], "people", "live_keys", "suspended_at", "created_at")
    list_filter = ("is_personal", ("suspended_at", admin.EmptyFieldListFilter), "created_at")
    search_fields = ("name", "memberships__user__email", "id__exact")
    search_help_text = "Name, e-mail of a member, or id"
    list_per_page = PER_PAGE
    form = OrganizationForm
    inlines = (MembershipInline, ApiKeyInline)
    readonly_fields = ("id", "is_personal", "created_at", "suspended_at", "suspension", *BALANCE, "look_at")
    change_form_template = "admin/accounts/organization/change_form.html"
    add_fieldsets: Any = ((None, {"fields": ("name",)}),)
    fieldsets = (
        (None, {"fields": ("name", "is_personal", "id", "created_at", ("suspended_at", "suspension"))}),
        ("Limits", {"fields": (("budget_nano", "budget_reset"), "requests_per_minute")}),
        ("Privacy", {"fields": ("keeps_content",)}),
        ("Balance", {"fields": (BALANCE, "look_at")}),
    )

    sheet_columns = (
        ("id", lambda row: row.pk),
        ("name", lambda row: row.name),
        ("personal", lambda row: row.is_personal),
        *((f"{name} (USD)", nano_cell(name)) for name in ("credit", "spent", "held", "spendable")),
        ("members", lambda row: row.member_count),
        ("live keys", lambda row: row.key_count),
        ("created (UTC)", moment_cell("created_at")),
        ("suspended (UTC)", moment_cell("suspended_at")),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        wallet = {name: Coalesce(F(f"wallet__{name}"), 0) for name in ("credit", "spent", "held")}
        return Organization.objects.annotate(
            **wallet,
            spendable=F("credit") - F("spent") - F("held"),
            member_count=count_of(Membership.objects.all()),
            key_count=count_of(ApiKey.objects.live()),
        ).order_by("-id")

    def get_fieldsets(self, request: HttpRequest, obj: Organization | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_inlines(self, request: HttpRequest, obj: Organization | None) -> Any:
        return self.inlines if obj else (MembershipInline,)

    def get_urls(self) -> list[URLPattern]:
        pages = {"credit": credit.page, "suspend": access.suspend, "resume": access.resume, "look": access.look}
        own = [
            path(
                f"<uuid:organization_id>/{name}/",
                self.admin_site.admin_view(page),
                name=f"accounts_organization_{name}",
            )
            for name, page in pages.items()
        ]
        return own + super().get_urls()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="look at")
    def look_at(self, organization: Organization) -> str:
        return format_html_join(
            " · ",
            '<a href="{}?{}={}">{}</a>',
            (
                (reverse(f"admin:{model}_changelist"), field, organization.pk, name)
                for model, field, name in (
                    ("billing_ledgertransaction", "organization__id__exact", "ledger"),
                    ("billing_generation", "organization_id", "generations"),
                    ("billing_hold", "organization__id__exact", "open holds"),
                    ("accounts_auditevent", "organization__id__exact", "audit events"),
                )
            ),
        )

    @admin.display(description="members", ordering="member_count")
    def people(self, organization: Organization) -> int:
        count: int = vars(organization)["member_count"]
        return count

    @admin.display(ordering="key_count")
    def live_keys(self, organization: Organization) -> int:
        count: int = vars(organization)["key_count"]
        return count

    def save_model(self, request: HttpRequest, obj: Organization, form: Any, change: bool) -> None:
        form.save_with_budget()
        if form.changed_data:
            verb = audit.Verb.UPDATE if change else audit.Verb.CREATE
            audit.record(request, verb, obj, organization_id=obj.pk, details=audit.changes(form))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save()
        done = [
            *((audit.Verb.CREATE, member) for member in formset.new_objects),
            *((audit.Verb.UPDATE, member) for member, _ in formset.changed_objects),
            # Their rows, and with them their ids, are gone.
            *((audit.Verb.DELETE, member) for member in formset.deleted_objects),
        ]
        for verb, member in done:
            details = {"user": member.user.email, "role": member.role, "budget_nano": member.budget_nano}
            audit.record(request, verb, member, organization_id=member.organization_id, details=details)


def count_of(rows: QuerySet[Any]) -> Any:
    """How many of the rows an organization has; joins would multiply them."""
    own = rows.filter(organization=OuterRef("pk")).order_by().values("organization")
    return Coalesce(Subquery(own.annotate(count=Count("pk")).values("count")), 0)
