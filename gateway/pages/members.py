"""The members of an organization and who is invited; and the page that an invitation's link opens."""

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.mail import send_mail
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from accounts import access, organizations
from accounts.audit import Verb
from accounts.models import Invitation, Membership, User
from accounts.organizations import MembershipError
from accounts.roles import MATRIX, Right
from gateway.pages import invitations
from gateway.pages.limits import limited
from gateway.pages.organizations import record
from gateway.pages.tenant import choose, membership, user_of

Role = Membership.Role


class InviteForm(forms.Form):
    email = forms.EmailField(label="E-mail")
    role = forms.ChoiceField(choices=Role.choices, initial=Role.DEVELOPER)

    def __init__(self, *args: object, member: Membership) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.fields["role"] = forms.ChoiceField(choices=roles_for(member), initial=Role.DEVELOPER)


def roles_for(member: Membership) -> list[tuple[str, str]]:
    """What this member may make of others: owners are made by owners."""
    return [(role.value, role.label) for role in Role if role != Role.OWNER or access.may(member, Right.OWN)]


@login_required
@require_http_methods(["GET", "POST"])
@limited("invite", user="60/h")
def member_list(request: HttpRequest) -> HttpResponse:
    """A POST invites."""
    member = membership(request)
    form = InviteForm(request.POST or None, member=member)
    if request.method == "POST":
        access.demand(member, Right.MANAGE_MEMBERS)
        if member.organization.is_personal:
            raise PermissionDenied("A personal organization has one member. Make another one to work together.")
        if form.is_valid() and invite(request, member, form):
            return redirect("page-members")
    context = {
        "form": form,
        "member": member,
        "members": access.members_of(member.organization_id),
        "invitations": access.open_invitations(member.organization_id),
        "may_manage": access.may(member, Right.MANAGE_MEMBERS) and not member.organization.is_personal,
        "roles": roles_for(member),
        "all_roles": Role,
        "matrix": [(right.label, [role in MATRIX[right] for role in Role]) for right in Right],
        "is_owner": member.role == Role.OWNER,
    }
    return render(request, "pages/members.html", context)


def invite(request: HttpRequest, member: Membership, form: InviteForm) -> bool:
    asked = form.cleaned_data
    try:
        with transaction.atomic():
            invitation = organizations.invite(
                member.organization, email=asked["email"], role=asked["role"], invited_by=user_of(request)
            )
            record(request, Verb.INVITE, member, {"email": invitation.email, "role": invitation.role})
            send(invitation)
    except MembershipError as error:
        form.add_error("email", str(error))
        return False
    messages.success(request, f"A link is on its way to {invitation.email}.")
    return True


def send(invitation: Invitation) -> None:
    context = {"invitation": invitation, "url": invitations.organization_link(invitation)}
    text = render_to_string("mail/invitation.txt", context)
    send_mail(f"You are invited to {invitation.organization.name}"[:200], text, None, [invitation.email])


@login_required
@require_POST
def change_member(request: HttpRequest, pk: int) -> HttpResponse:
    member, other = members(request, pk)
    role = request.POST.get("role", "")
    if role not in dict(roles_for(member)):
        raise PermissionDenied("Your role does not let you give this role.")
    before = other.role
    try:
        with transaction.atomic():
            organizations.change_role(other, role)
            record(request, Verb.UPDATE, member, {"member": other.user.email, "role": [before, role]})
    except MembershipError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{other.user.email} is {other.get_role_display().lower()} now.")
    return redirect("page-members")


@login_required
@require_POST
def remove_member(request: HttpRequest, pk: int) -> HttpResponse:
    member, other = members(request, pk)
    try:
        with transaction.atomic():
            disabled = organizations.remove(other, with_keys="with_keys" in request.POST)
            record(request, Verb.REMOVE, member, {"member": other.user.email, "keys_disabled": disabled})
    except MembershipError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{other.user.email} is no longer a member; keys switched off: {disabled}.")
    return redirect("page-members")


@login_required
@require_POST
def withdraw_invitation(request: HttpRequest, pk: int) -> HttpResponse:
    member = membership(request)
    found = access.open_invitations(member.organization_id).filter(pk=pk).first()
    if found is None:
        raise Http404
    access.demand(member, Right.MANAGE_MEMBERS)
    with transaction.atomic():
        organizations.close(found)
        record(request, Verb.DELETE, member, {"invitation": found.email})
    messages.success(request, f"The invitation of {found.email} is withdrawn.")
    return redirect("page-members")


def members(request: HttpRequest, pk: int) -> tuple[Membership, Membership]:
    """Who asks, who may manage members; and of whom. Owners are managed by owners alone."""
    member = membership(request)
    other = access.members_of(member.organization_id).filter(pk=pk).first()
    if other is None:
        raise Http404
    access.demand(member, Right.MANAGE_MEMBERS)
    if other.role == Role.OWNER:
        access.demand(member, Right.OWN)
    return member, other


@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """For whoever has the link; joining takes an account with the address that it was sent to."""
    pk = invitations.invitation_id(token)
    found = access.invitation_of(pk) if pk is not None else None
    if found is None:
        return render(request, "pages/invitation_over.html", status=404)
    if request.method == "POST" and isinstance(request.user, User):
        return join(request, found, request.user)
    here = reverse("page-invitation", args=[token])
    context = {
        "invitation": found,
        "is_theirs": isinstance(request.user, User) and request.user.email == found.email,
        "is_open": settings.SIGNUP != "closed",
        "next": here,
    }
    if not request.user.is_authenticated:
        invitations.remember(request, found)
    return render(request, "pages/invitation.html", context)


def join(request: HttpRequest, found: Invitation, user: User) -> HttpResponse:
    try:
        with transaction.atomic():
            member = organizations.accept(found, user)
            record(request, Verb.JOIN, member, {"member": user.email, "role": member.role})
    except MembershipError as error:
        raise PermissionDenied(str(error)) from None
    choose(request, member.organization_id)
    messages.success(request, f"You are in {found.organization.name} now.")
    return redirect("dashboard")
