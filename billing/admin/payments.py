"""Payments in the admin: to look at, and to refund. Rows say what became of a payment; nobody edits them."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path

from accounts.admin import OfOrganization, ReadOnly, admin_link
from accounts.paging import Bounded
from billing.admin import refund
from billing.admin.columns import cents_column
from billing.payments.models import BillingProfile, Dispute, Refund, StripeEvent, TopUp

AMOUNTS = (cents_column("credit_cents"), cents_column("fee_cents"))


class RefundInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # generic to the type checker only
    model = Refund
    fields = readonly_fields = ("created_at", "status", *AMOUNTS, "reason", "created_by", "stripe_refund", "error")
    ordering = ("created_at",)


class DisputeInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Dispute
    fields = readonly_fields = ("created_at", "status", *AMOUNTS, "reason", "stripe_dispute", "closed_at")
    ordering = ("created_at",)


@admin.register(TopUp)
class TopUpAdmin(OfOrganization, ReadOnly, Bounded, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "created_at", "organization", "status", "source", *AMOUNTS, "paid_at", "error")
    list_filter = ("status", "source", "created_at")
    search_fields = (
        *("organization__name", "organization__id__exact", "id__exact"),
        *("stripe_session__exact", "stripe_intent__exact", "created_by__email"),
    )
    search_help_text = "Name or id of the organization, id here or at Stripe, or e-mail of who bought"
    inlines = (RefundInline, DisputeInline)
    ordering = ("-id",)
    list_select_related = ("organization",)
    change_form_template = "admin/billing/topup_form.html"
    fields = readonly_fields = (
        *("id", "organization_link", "status", "source", *AMOUNTS, "receipt", "created_by", "created_at", "paid_at"),
        *("posted", "stripe_session", "stripe_intent", "saves_card", "error"),
    )

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(refund.page)
        return [path("<uuid:id>/refund/", page, name="billing_topup_refund"), *super().get_urls()]

    @admin.display(description="receipt")
    def receipt(self, top_up: TopUp) -> str:
        return top_up.receipt_number or "-"


class OfPayment(ReadOnly):
    @admin.display(ordering="top_up__organization__name")
    def organization(self, row: Refund | Dispute) -> str:
        return row.top_up.organization.name

    @admin.display(description="top-up")
    def payment(self, row: Refund | Dispute) -> str:
        return admin_link(row.top_up)


@admin.register(Refund)
class RefundAdmin(OfPayment, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "created_at", "organization", "status", *AMOUNTS, "reason", "created_by", "error")
    list_filter = ("status", "created_at")
    search_fields = ("id__exact", "stripe_refund__exact", "top_up__organization__name", "top_up__id__exact")
    list_select_related = ("top_up__organization", "created_by")
    ordering = ("-id",)
    fields = readonly_fields = (
        *("id", "payment", "status", *AMOUNTS, "reason", "created_by", "created_at", "stripe_refund", "error"),
    )


@admin.register(Dispute)
class DisputeAdmin(OfPayment, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("stripe_dispute", "created_at", "organization", "status", *AMOUNTS, "reason", "closed_at")
    list_filter = ("status", "created_at")
    search_fields = ("stripe_dispute__exact", "top_up__organization__name", "top_up__id__exact")
    list_select_related = ("top_up__organization",)
    ordering = ("-pk",)
    fields = readonly_fields = (
        *("stripe_dispute", "payment", "status", *AMOUNTS, "reason", "created_at", "closed_at"),
    )


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnly, Bounded, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "type", "received_at", "processed_at", "attempts", "outcome")
    list_filter = ("type", ("processed_at", admin.EmptyFieldListFilter), "received_at")
    search_fields = ("id__exact", "outcome")
    ordering = ("-received_at",)
    fields = readonly_fields = ("id", "type", "received_at", "processed_at", "attempts", "outcome", "payload")

    def get_queryset(self, request: HttpRequest) -> QuerySet[StripeEvent]:
        found = StripeEvent.objects.all()
        is_one = bool(request.resolver_match and request.resolver_match.kwargs)
        return found if is_one else found.defer("payload")


@admin.register(BillingProfile)
class BillingProfileAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display: Any = ("organization", "card", "is_automatic", "failures", "retry_at")
    list_filter = ("is_automatic",)
    search_fields = ("organization__name", "organization__id__exact", "stripe_customer__exact")
    list_select_related = ("organization",)
    ordering = ("-pk",)
    fields = readonly_fields = (
        *("organization", "stripe_customer", "card", "card_expiry", "is_automatic"),
        *(cents_column("threshold_cents"), cents_column("amount_cents"), "failures", "retry_at"),
    )
