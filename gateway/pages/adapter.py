"""What allauth asks of us: who may sign up, what a new user gets, and where the links in mails lead."""

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import Form
from django.http import HttpRequest

from accounts.models import Organization, User
from gateway.pages import invitations, welcome

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

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Links lead to PUBLIC_URL, whatever Host the request named: it may be an attacker's."""
        for name in context.keys() & set(LINKS):
            context[name] = settings.PUBLIC_URL + urlsplit(context[name]).path
        super().send_mail(template_prefix, email, context)
