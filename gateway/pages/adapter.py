"""What allauth asks of us: who may sign up, what a new user gets, and where the links in mails lead."""

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import Form
from django.http import HttpRequest, HttpResponse

from accounts import audit
from accounts.encryption import ring
from accounts.models import Organization, User
from gateway.pages import invitations, welcome

UNKNOWN = "::"
# allauth says no row: encrypted for this use and no other.
PLACE = "mfa_authenticator:data"
LINKS = ("activate_url", "password_reset_url", "signup_url")


class Adapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        if settings.SIGNUP == "invite":
            return invitations.email_of(request) is not None
        return bool(settings.SIGNUP == "open")

    def clean_email(self, email: str) -> str:
        if settings.SIGNUP == "invite" and email.lower() != invitations.email_of(self.request):
            raise ValidationError("The invitation is for another address.")
        return email

    def save_user(self, request: HttpRequest, user: User, form: Form, commit: bool = True) -> User:
        with transaction.atomic():
            super().save_user(request, user, form, commit)
            if commit:
                Organization.objects.create_personal(user)
        return user

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        with transaction.atomic():
            is_confirmed = bool(super().confirm_email(request, email_address))
            if is_confirmed:
                welcome.give_credit(request, email_address.user)
        return is_confirmed

    def post_login(self, request: HttpRequest, user: User, **more: Any) -> HttpResponse:
        # Who came by an invitation's mail has no address to confirm.
        if more.get("signup"):
            welcome.give_credit(request, user)
        response: HttpResponse = super().post_login(request, user, **more)
        return response

    def get_client_ip(self, request: HttpRequest) -> str:
        # On a unix socket nobody says who calls, which is no reason to refuse a log-in.
        return audit.address_of(request) or UNKNOWN

    def send_notification_mail(
        self, template_prefix: str, user: User, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """Told by mail, and kept: allauth comes here with every change of how somebody logs in."""
        what = template_prefix.rsplit("/", 1)[-1]
        verb = audit.Verb.SET_PASSWORD if what.startswith("password") else audit.Verb.SECURE
        organization = user.personal_membership.organization_id
        audit.record(self.request, verb, user, organization_id=organization, details={"what": what.replace("_", " ")})
        super().send_notification_mail(template_prefix, user, context, email)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Links lead to PUBLIC_URL, whatever Host the request named: it may be an attacker's."""
        for name in context.keys() & set(LINKS):
            context[name] = settings.PUBLIC_URL + urlsplit(context[name]).path
        super().send_mail(template_prefix, email, context)


class FactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Secrets of authenticator apps and recovery codes are stored encrypted."""

    def encrypt(self, text: str) -> str:
        return ring().encrypt(text, place=PLACE)

    def decrypt(self, encrypted_text: str) -> str:
        return ring().decrypt(encrypted_text, place=PLACE)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        # Not what Host says: a passkey belongs to one name for good.
        return {"id": urlsplit(settings.PUBLIC_URL).hostname or "localhost", "name": "Turnpike"}
