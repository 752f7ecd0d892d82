"""Users and audit events in Django's admin. Organizations and keys are shown with their money: billing/admin/."""

import json
from ipaddress import ip_address
from typing import Any

from allauth.account.admin import EmailAddressAdmin
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from accounts import audit
from accounts.audited import Audited
from accounts.forms import NewUserForm, UserForm
from accounts.light import Light
from accounts.models import AuditEvent, Membership, Organization, User
from accounts.paging import PER_PAGE, Bounded, IndexedValuesFilter, newest_of, organizations_named, people_named


class ReadOnly:
    """To look at; nobody adds, changes or deletes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def demand(request: HttpRequest, *permissions: str) -> User:
    """Who is logged in. Raises PermissionDenied unless they have all of these."""
    if not isinstance(request.user, User) or not request.user.has_perms(permissions):
        raise PermissionDenied
    return request.user


def admin_link(target: Model, text: str = "") -> str:
    page = reverse(f"admin:{target._meta.app_label}_{target._meta.model_name}_change", args=[target.pk])
    return format_html('<a href="{}">{}</a>', page, text or str(target))


class OfOrganization:
    """Its rows show their organization as a link."""

    @admin.display(description="organization")
    def organization_link(self, row: Any) -> str:
        return admin_link(row.organization)


def pretty(value: Any) -> str:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))


class UserMembershipInline(OfOrganization, ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # generic to the type checker only
    model = Membership
    fields = readonly_fields = ("organization_link", "role", "created_at")
    verbose_name_plural = "Organizations"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return Membership.objects.select_related("organization", "user").order_by("created_at")


@admin.register(User)
class UserAdmin(Light, DjangoUserAdmin):  # type: ignore[type-arg]
    """Users are deactivated, not deleted: ledger and audit events name them."""

    form = UserForm
    add_form = NewUserForm
    list_display = ("email", "name", "is_active", "is_staff", "is_superuser", "last_login", "created_at")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups", "created_at", "last_login")
    search_fields = ("email", "name", "id__exact")
    list_per_page = PER_PAGE
    ordering = ("-id",)
    readonly_fields = ("id", "last_login", "created_at")
    inlines = (UserMembershipInline,)
    fieldsets = (
        (None, {"fields": ("email", "name", "password", "is_active")}),
        ("Admin", {"fields": ("is_staff", "is_superuser", "groups", "user_permissions"), "classes": ("collapse",)}),
        ("Record", {"fields": ("id", "last_login", "created_at")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),)

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return self.inlines if obj else ()

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        # Who may change users could otherwise make a superuser of themselves.
        rights = () if is_superuser(request) else ("is_staff", "is_superuser", "groups", "user_permissions")
        return (*self.readonly_fields, *rights)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or not obj.is_superuser or is_superuser(request))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            organization = Organization.objects.create_personal(obj)
            audit.record(request, audit.Verb.CREATE, obj, organization_id=organization.pk, details={"email": obj.email})
        elif form.changed_data:
            # An address that is no longer the user's must not log in or reset the password.
            EmailAddress.objects.filter(user=obj).exclude(email__iexact=obj.email).delete()
            audit.record(request, audit.Verb.UPDATE, obj, details=audit.changes(form))

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with transaction.atomic():
            before: User | None = self.get_object(request, unquote(id))
            response = super().user_change_password(request, id, form_url)
            if before and User.objects.get(pk=before.pk).password != before.password:
                audit.record(request, audit.Verb.SET_PASSWORD, before)
        return response


admin.site.unregister(UserSession)


@admin.register(UserSession)
class UserSessionAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Where people are logged in. Who has a session's key has the session, so it is not shown."""

    list_display = ("user", "created_at", "last_seen_at", "ip", "user_agent")
    list_select_related = ("user",)
    search_fields = ("user__email", "ip")
    ordering = ("-pk",)
    fields = readonly_fields = ("user", "created_at", "last_seen_at", "ip", "user_agent")


admin.site.unregister(Authenticator)


@admin.register(Authenticator)
class AuthenticatorAdmin(Audited, admin.ModelAdmin):  # type: ignore[type-arg]
    """Second factors. Who has lost theirs gets it removed; what it proves itself by is not shown."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type", "created_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    ordering = ("-pk",)
    fields = readonly_fields = ("user", "type", "created_at", "last_used_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


for model, page in ((EmailAddress, EmailAddressAdmin), (Group, GroupAdmin)):
    admin.site.unregister(model)
    admin.site.register(model, type(page.__name__, (Audited, page), {}))


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_superuser(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.is_superuser


class TargetFilter(IndexedValuesFilter):
    title = "target type"
    parameter_name = "target_type"
    model = AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly, Bounded, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("created_at", "who", "verb", "target", "organization", "address", "summary")
    list_filter = ("verb", TargetFilter, "created_at")
    list_select_related = ("actor", "organization")
    search_fields = ("actor__email", "organization__name", "=target_id", "=address")
    search_help_text = "E-mail of who did it, name of an organization, id of what it was done to, or address"
    ordering = ("-id",)
    sortable_by = ()
    fields = readonly_fields = (
        *("created_at", "who", "verb", "target", "target_type", "target_id", "organization", "address"),
        "pretty_details",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        events = AuditEvent.objects
        found = [
            events.filter(actor__in=people_named(term)),
            events.filter(organization__in=organizations_named(term)),
            events.filter(target_id=term),
        ]
        if is_address(term):
            found.append(events.filter(address=term))
        return newest_of(queryset, *found), False

    @admin.display()
    def who(self, event: AuditEvent) -> str:
        return str(event.actor or event.actor_id or "the system")

    @admin.display()
    def target(self, event: AuditEvent) -> str:
        try:
            page = reverse(f"admin:{event.target_type.replace('.', '_')}_change", args=[event.target_id])
        except NoReverseMatch:
            return f"{event.target_type} {event.target_id}"
        return format_html('<a href="{}">{} {}</a>', page, event.target_type.split(".")[1], event.target_id[-12:])

    @admin.display(description="details")
    def summary(self, event: AuditEvent) -> str:
        text = json.dumps(event.details, ensure_ascii=False)
        return text if len(text) <= 120 else f"{text[:120]}…"

    @admin.display(description="details")
    def pretty_details(self, event: AuditEvent) -> str:
        return pretty(event.details)
